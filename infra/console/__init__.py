"""Who is signed in at the console: sessions whose keys only their cookies open, and links that sign in once."""
