"""The official Python client against a running hub: python clients.py URL TOKEN

Lists the tools, draws a picture with progress, cancels a call, and reads the picture as a resource.
"""

import asyncio
import base64
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, token: str) -> None:
    for mode in ("auto", "legacy"):
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=120) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                tools = await client.list_tools()
                assert [tool.name for tool in tools.tools][:2] == ["whoami", "generate_image"]
                told = []

                async def progress(done, total, message):
                    told.append(done)

                asked = {"prompt": f"a fox by Python, {mode}", "width": 256, "height": 256, "steps": 40}
                drawn = await client.call_tool("generate_image", asked, progress_callback=progress)
                facts = drawn.structured_content
                assert facts["status"] == "done", facts
                assert len(told) >= 2 and told == sorted(set(told)), told
                read = await client.read_resource(facts["images"][0]["uri"])
                assert len(base64.b64decode(read.contents[0].blob)) == facts["images"][0]["bytes"]

                long = {"prompt": f"long, by Python, {mode}", "width": 64, "height": 64, "steps": 150, "count": 16, "cancel_on_disconnect": True}
                call = asyncio.create_task(client.call_tool("generate_image", long, progress_callback=progress))


                async def status(*wanted):
                    for _ in range(150):
                        found = await client.call_tool("list_images", {"text": long["prompt"]})
                        images = found.structured_content["images"]
                        if images and images[0]["status"] in wanted:
                            return
                        await asyncio.sleep(0.1)
                    raise AssertionError(f"the image never became {wanted}: {images}")

                await status("running")
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                await status("cancelled")
                print(f"Python, {mode}: good")
    print("2 passed, 0 failed")


asyncio.run(main(*sys.argv[1:]))
