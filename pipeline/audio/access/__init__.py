"""How the bytes of a recording are reached: in a file of this machine, or elsewhere, in ranges and through a pipe."""
