"""The parts of the job store, one idea each; `infra.jobs` is the whole."""
