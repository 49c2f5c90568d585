// Drives the TypeScript SDK, version 1 (`sdk`) or 2 (`client`): reads a command in JSON from each line, and answers with
// one line.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [, , modules, sdk] = process.argv;
const require = createRequire(`${modules}/`);
const { Client, StreamableHTTPClientTransport } = sdk === "client"
    ? require("@modelcontextprotocol/client")
    : { ...require("@modelcontextprotocol/sdk/client/index.js"), ...require("@modelcontextprotocol/sdk/client/streamableHttp.js") };

let client, transport, token, statuses = [];

async function send(url, init) {
    const headers = new Headers(init?.headers);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const response = await fetch(url, { ...init, headers });
    statuses.push(`${init?.method ?? "GET"} ${response.status}`);
    return response;
}

const commands = {
    async connect({ url, revision, ...command }) {
        await commands.close();
        token = command.token;
        const mode = revision === "2026-07-28" ? "auto" : "legacy";
        client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
        transport = new StreamableHTTPClientTransport(new URL(url), { fetch: send });
        await client.connect(transport);
        return client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
    },
    // Sends another token from now on.
    async use(command) {
        token = command.token;
        return null;
    },
    list: async () => (await client.listTools()).tools.map((tool) => tool.name),
    async call({ name, arguments: given = {} }) {
        const result = await client.callTool({ name, arguments: given });
        return { failed: Boolean(result.isError), text: result.content[0].text };
    },
    async seen() {
        const seen = statuses;
        statuses = [];
        return seen;
    },
    async close() {
        const closing = [client, transport];
        client = transport = undefined;
        try {
            await closing[1]?.terminateSession();
        } finally {
            await closing[0]?.close();
        }
        return null;
    },
};

for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    let answer;
    try {
        answer = { ok: await commands[command.do](command) };
    } catch (error) {
        answer = { error: error.message };
    }
    console.log(JSON.stringify(answer));
}
process.exit(0);
