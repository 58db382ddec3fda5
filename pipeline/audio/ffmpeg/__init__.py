"""The one place that starts ffmpeg: which program, its arguments, its sandbox, its log."""
