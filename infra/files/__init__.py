"""What an account keeps to be used more than once: files, and uploads part by part that become files."""
