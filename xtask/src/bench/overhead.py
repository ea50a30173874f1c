# Two clients that take turns on one ComfyUI with a graph that has no model: one alone, one through the hub.
import asyncio, json, statistics, sys, time, uuid

import aiohttp

settings = json.loads(sys.argv[1])
HUB, COMFYUI = settings["hub"], settings["comfyui"]
CLIENT = "bench-bare"


def graph(prefix):
    nodes = json.loads(settings["graph"])
    for node in nodes.values():
        if "filename_prefix" in node["inputs"]:
            node["inputs"]["filename_prefix"] = prefix
    return nodes


async def bare(http, socket):
    began = time.perf_counter()
    prompt = str(uuid.uuid4())
    body = {"prompt": graph(f"bare/{prompt}"), "prompt_id": prompt, "client_id": CLIENT}
    async with http.post(f"{COMFYUI}/prompt", json=body) as answer:
        answer.raise_for_status()
    while True:
        message = await socket.receive()
        if message.type != aiohttp.WSMsgType.TEXT:
            continue
        said = json.loads(message.data)
        if said["type"] == "executing" and said["data"].get("prompt_id") == prompt and said["data"]["node"] is None:
            break
    while True:
        async with http.get(f"{COMFYUI}/history/{prompt}") as answer:
            entry = (await answer.json()).get(prompt)
        if entry:
            break
        await asyncio.sleep(0.001)
    file = next(image for output in entry["outputs"].values() for image in output["images"])
    async with http.get(f"{COMFYUI}/view", params=file) as answer:
        assert (await answer.read()).startswith(b"\x89PNG")
    return time.perf_counter() - began


class Live:
    """Wakes who waits whenever the hub says that something changed."""

    def __init__(self):
        self.changed = asyncio.Event()

    async def follow(self, http):
        async with http.get(f"{HUB}/live", timeout=aiohttp.ClientTimeout(total=None)) as stream:
            stream.raise_for_status()
            async for line in stream.content:
                if line.startswith(b"event: change"):
                    self.changed.set()


async def call(http, name, body):
    async with http.post(f"{HUB}/api/{name}", json=body) as answer:
        if answer.status != 200:
            raise SystemExit(f"{name}: {answer.status} {await answer.text()}")
        return await answer.json()


async def through(http, live, draft):
    began = time.perf_counter()
    image = await call(http, "draw_image", {"draft": draft})
    while image["status"] in ("queued", "running"):
        await asyncio.wait_for(live.changed.wait(), 60)
        live.changed.clear()
        image = await call(http, "get_image", {"id": image["id"]})
    assert image["status"] == "done", image
    async with http.get(f"{HUB}/pictures/{image['pictures'][0]['sha256']}") as answer:
        assert (await answer.read()).startswith(b"\x89PNG")
    return time.perf_counter() - began


async def main():
    headers = {"Authorization": f"Bearer {settings['token']}"}
    async with aiohttp.ClientSession() as alone, aiohttp.ClientSession(headers=headers) as hub:
        added = await call(hub, "add_service", {"draft": {
            "name": "bench", "kind": "comfyui", "base_url": COMFYUI, "auth": None, "price_per_hour": 0}})
        await call(hub, "set_service_active", {"id": added["id"], "active": True})
        workflow = await call(hub, "save_workflow", {"name": "empty", "graph": settings["graph"]})
        draft = {"prompt": "no model", "workflow": workflow["id"], "width": 64, "height": 64, "steps": 1}
        live = Live()
        following = asyncio.create_task(live.follow(hub))
        async with alone.ws_connect(f"{COMFYUI}/ws", params={"clientId": CLIENT}) as socket:
            times = {"bare": [], "hub": []}
            for n in range(settings["jobs"] + 10):
                # The first ones warm up.
                one, other = await bare(alone, socket), await through(hub, live, draft)
                if n >= 10:
                    times["bare"].append(one * 1000)
                    times["hub"].append(other * 1000)
        following.cancel()
        print(json.dumps({name: statistics.median(all) for name, all in times.items()}))


asyncio.run(main())
