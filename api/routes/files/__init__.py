"""Files and uploads over HTTP, in OpenAI's shapes."""
