"""What `ddim serve` gains by sharing calls of the network: mixed requests at once, beside the same ones one after the other.

    benches/serve.py target/release/ddim [--requests 200] [--rounds 3] [--gap 0.01] [--memory 2000]

Requests arrive `gap` seconds apart, of five methods and lengths and 1 to 4 pictures each; three are given up by their clients
after 50 ms, and one is malformed. One after the other: each is sent when the one before is answered, and its latency counts
from when it would have arrived. The rounds of both kinds take turns, since machines have other things to do. Needs Python and
nothing else.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import threading
import time

KINDS = [
    {"steps": 20, "solver": "ddim"},
    {"steps": 10, "solver": "unipc"},
    {"steps": 8, "solver": "dpm++"},
    {"steps": 50, "solver": "ddim"},
    {"steps": 15, "solver": "ipndm"},
]
CLASSES = ["coat", "bag", "sneaker", "sandal", "shirt", "dress", "trouser"]
GIVEN_UP, MALFORMED = (50, 100, 150), 75


class Server:
    def __init__(self, program, queue):
        words = [program, "serve", "--device", "cpu", "--listen", "127.0.0.1:0", "--queue", str(queue), "-q"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split("//")[1].strip()

    def ask(self, method, path, body=None, timeout=600):
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def counted(self):
        lines = (line.rsplit(" ", 1) for line in self.ask("GET", "/metrics")[1].decode().splitlines() if line[0] != "#")
        values = {name: float(value) for name, value in lines}
        return values["ddim_call_rows_count"], values["ddim_call_rows_sum"]

    def resident(self):
        """Memory of the process, in MiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    def end(self):
        self.process.terminate()
        assert self.process.wait() == 0


def request(k):
    """Picture and all: the same for the same k."""
    options = dict(KINDS[k % len(KINDS)])
    return {"prompt": CLASSES[k % len(CLASSES)], "n": 1 + k // 5 % 4, "seed": k, "ddim": options}


def send(server, k):
    """Draws request k; how many pictures came."""
    body = json.dumps(request(k))
    if k == MALFORMED:
        assert server.ask("POST", "/v1/images/generations", body[:-1])[0] == 400
        return 0
    if k in GIVEN_UP:
        try:
            server.ask("POST", "/v1/images/generations", json.dumps({**request(k), "ddim": {"steps": 1000}}), 0.05)
        except TimeoutError:
            return 0
        raise AssertionError("it was too fast to be given up")
    status, answer = server.ask("POST", "/v1/images/generations", body)
    assert status == 200, answer
    return len(json.loads(answer)["data"])


def measured(server, requests, gap, together):
    """Pictures a second, the median and the 95th percentile of latencies, rows a call."""
    calls, rows = server.counted()
    latency, pictures, start = {}, [0] * requests, time.monotonic()

    def one(k):
        pictures[k] = send(server, k)
        if pictures[k]:
            latency[k] = time.monotonic() - start - k * gap

    def arrive(k):
        time.sleep(max(0, start + k * gap - time.monotonic()))

    threads = [threading.Thread(target=one, args=(k,)) for k in range(requests)]
    for k, thread in enumerate(threads):
        arrive(k)
        thread.start()
        if not together:
            thread.join()
    for thread in threads:
        thread.join()
    took = time.monotonic() - start
    later_calls, later_rows = server.counted()
    times = sorted(latency.values())
    assert len(times) == requests - sum(k < requests for k in (*GIVEN_UP, MALFORMED))
    rate = sum(pictures) / took
    return rate, statistics.median(times), times[len(times) * 95 // 100], (later_rows - rows) / (later_calls - calls)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gap", type=float, default=0.01)
    parser.add_argument("--memory", type=int, default=2000, help="requests over which memory is watched; 0 for none")
    args = parser.parse_args()
    server = Server(args.program, args.requests + 1)
    for k in range(5):
        send(server, k)
    found = {False: [], True: []}
    for _ in range(args.rounds):
        for together in (False, True):
            rate, median, late, rows = measured(server, args.requests, args.gap, together)
            found[together].append((rate, median))
            name = "together  " if together else "one by one"
            print(f"{name} {rate:6.1f} pictures/s, latency {median:6.2f} s median, {late:6.2f} s p95, {rows:.1f} rows a call")
    ratios = [(b[0] / a[0], b[1] / a[1]) for a, b in zip(found[False], found[True])]
    throughput, latency = (statistics.median(ratio[i] for ratio in ratios) for i in (0, 1))
    print(f"together beside one by one: {throughput:.2f} times the throughput, {latency:.2f} of the median latency")
    if args.memory:
        watch(server, args.memory)
    server.end()


def watch(server, requests):
    """Memory after each tenth of so many requests, sixteen at a time."""
    seen = []
    for tenth in range(10):
        ks = iter(range(tenth * requests // 10, (tenth + 1) * requests // 10))
        lock = threading.Lock()

        def work():
            while True:
                with lock:
                    k = next(ks, None)
                if k is None:
                    return
                body = json.dumps({**request(k), "ddim": {"steps": 2 + k % 4}})
                assert server.ask("POST", "/v1/images/generations" if k % 2 else "/v1/jobs", body if k % 2 else
                                  json.dumps({"steps": 2 + k % 4, "num": 1 + k % 4, "seed": k}))[0] in (200, 202)

        workers = [threading.Thread(target=work) for _ in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seen.append(server.resident())
    print(f"memory after each tenth of {requests} requests: {', '.join(f'{mib:.1f}' for mib in seen)} MiB")


if __name__ == "__main__":
    main()
