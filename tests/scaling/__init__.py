"""Workers that are started and stopped on the numbers of the view stenopool_load, and a simulation of it: `make scaling`."""
