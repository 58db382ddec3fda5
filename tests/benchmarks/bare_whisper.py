"""What the product's ear is measured against: faster-whisper's own batched pipeline over a whole file, in a process of its own.

`python -m tests.benchmarks.bare_whisper MODEL FILE…` prints a JSON line for each file: text, processor seconds, seconds.
"""

import json
import sys
import time

from faster_whisper import BatchedInferencePipeline, WhisperModel

from pipeline.providers.faster_whisper import Config


def main() -> int:
    """With the batch, beam, threads and word times of the product's defaults; loading and warming are not counted."""
    folder, *files = sys.argv[1:]
    asked = Config()
    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=asked.cpu_threads)
    pipeline = BatchedInferencePipeline(model)

    def heard(path: str) -> str:
        told, _ = pipeline.transcribe(path, batch_size=asked.together, beam_size=asked.beam_size, word_timestamps=True)
        return "".join(segment.text for segment in told)

    heard(files[0])
    for path in files:
        began, used = time.monotonic(), time.process_time()
        text = heard(path)
        told = {"text": text, "processor": time.process_time() - used, "seconds": time.monotonic() - began}
        print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
