"""How an archive is heard by the jobs of a server: each recording one job, and few questions for many of them."""
