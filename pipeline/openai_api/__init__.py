"""What is said to a server that speaks the OpenAI audio API, and what it answers."""
