"""Drives the Python SDK, version 1 or 2: reads a command in JSON from each line, and answers with one line."""

import asyncio
import json
import logging
import sys
from contextlib import asynccontextmanager

from mcp.client.streamable_http import streamable_http_client

try:
    import httpx2 as httpx
    from mcp import Client
except ImportError:
    import httpx
    from mcp import ClientSession

    Client = None


@asynccontextmanager
async def connection(url, revision, http):
    """Connects. Yields the revision that was agreed on, and the client."""
    transport = streamable_http_client(url, http_client=http)
    if Client:
        mode = "legacy" if revision == "2025-11-25" else "auto"
        async with Client(transport, mode=mode, read_timeout_seconds=20) as client:
            yield client.protocol_version, client
    else:
        async with transport as (read, write, _), ClientSession(read, write) as session:
            yield (await session.initialize()).protocolVersion, session


def text(error):
    """Returns the texts of an error, or of all errors of a group."""
    return "; ".join(map(text, error.exceptions)) if isinstance(error, BaseExceptionGroup) else str(error)


class Driver:
    def __init__(self):
        self.http = self.task = self.queue = None
        self.statuses = []

    async def hold(self, url, revision, connected):
        """Keeps a connection open for what is in the queue. An error of the transport ends it."""
        waiting = connected
        try:
            async with self.http, connection(url, revision, self.http) as (version, client):
                connected.set_result(version)
                while True:
                    action, waiting = await self.queue.get()
                    if action is None:
                        break
                    try:
                        waiting.set_result(await action(client))
                    except Exception as error:
                        waiting.set_exception(error)
            waiting.set_result(None)
        except BaseException as error:
            if not waiting.done():
                waiting.set_exception(Exception(text(error)))

    async def connect(self, url, revision, token=None):
        async def note(response):
            self.statuses.append(f"{response.request.method} {response.status_code}")

        await self.close()
        self.http = httpx.AsyncClient(event_hooks={"response": [note]}, timeout=httpx.Timeout(30))
        await self.use(token)
        self.queue, connected = asyncio.Queue(), asyncio.Future()
        self.task = asyncio.create_task(self.hold(url, revision, connected))
        return await connected

    async def use(self, token=None):
        """Sends another token from now on."""
        self.http.headers.pop("Authorization", None)
        if token:
            self.http.headers["Authorization"] = f"Bearer {token}"

    async def run(self, action):
        if self.task is None or self.task.done():
            raise Exception("the connection has ended")
        done = asyncio.Future()
        await self.queue.put((action, done))
        return await done

    async def list(self):
        async def names(client):
            return [tool.name for tool in (await client.list_tools()).tools]

        return await self.run(names)

    async def call(self, name, arguments={}):
        async def call(client):
            result = await client.call_tool(name, arguments)
            failed = result.is_error if Client else result.isError
            return {"failed": bool(failed), "text": result.content[0].text}

        return await self.run(call)

    async def seen(self):
        statuses, self.statuses = self.statuses, []
        return statuses

    async def close(self):
        if self.task and not self.task.done():
            await self.run(None)


async def main():
    logging.disable()
    driver, loop = Driver(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = {"ok": await getattr(driver, command.pop("do"))(**command)}
        except Exception as error:
            answer = {"error": text(error)}
        print(json.dumps(answer), flush=True)
    await driver.close()


asyncio.run(main())
