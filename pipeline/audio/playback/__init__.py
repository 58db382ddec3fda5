"""What a player of a recording wants besides the recording: how loud it is along its clock, and a copy that any browser plays."""
