# Fills a hub's database: 10,000 finished images with a picture each, 1,000 events, one service with its checks.
import json, sqlite3, sys, time, uuid

now = int(time.time() * 1000)
db = sqlite3.connect(sys.argv[1])


def uid(at, n):
    # A UUIDv7: milliseconds, then what makes it unique.
    return str(uuid.UUID(int=(at << 80) | (7 << 76) | (2 << 62) | n))


def draft(n):
    return json.dumps({
        "prompt": f"harbour number {n} at dusk, long exposure, film grain", "negative_prompt": "", "width": 512, "height": 512,
        "steps": 20, "cfg_scale": 8.0, "seed": str(n), "count": 1, "model": None, "sampler": None, "scheduler": None,
        "loras": [], "source": None, "workflow": None, "inputs": {}, "service": None, "task": None})


service = uid(now - 10_000_000, 1)
with db:
    db.execute("insert into services (id, name, kind, base_url, auth_kind, auth, price_per_hour, active, created_at, updated_at)"
               " values (?, 'pod', 'comfyui', 'http://127.0.0.1:9/', 'none', null, 590000, 0, ?, ?)", (service, now, now))
    for n in range(60):
        db.execute("insert into service_checks values (?, ?, 'healthy', ?, null)", (service, now - n * 30_000, 5 + n))
    for n in range(10_000):
        at = now - (10_000 - n) * 60_000
        image = uid(at, n)
        agent = [None, "a", "b", "c", "d"][n % 5]
        db.execute("insert into images (id, status, prompt, draft, seed, graph, asked_by, agent, renderer, attempts, created_at,"
                   " started_at, finished_at, drawn_ms, cost) values (?, 'done', ?, ?, ?, ?, ?, ?, 'pod', 1, ?, ?, ?, ?, ?)",
                   (image, f"harbour number {n} at dusk", draft(n), str(n), "{}" + " " * 1500, f"agent:{agent}" if agent else "user:ada",
                    agent, at, at + 50, at + 4000 + n % 900, 3900 + n % 900, 640 + n % 100))
        digest = f"{n:064x}"
        db.execute("insert into pictures values (?, 0, ?, ?, 'image/png', 512, 512, 400000)", (image, digest, digest[::-1]))
    for n in range(1_000):
        db.execute("insert into events (at, actor, topic, kind, subject, detail) values (?, 'agent:a', 'images', 'done', ?, 'harbour')",
                   (now - (1_000 - n) * 1000, uid(now - 60_000, n)))
