// Drives the command line of the inspector, which is a process for each command: reads a command in JSON from each line,
// and answers with one line.

import { execFile } from "node:child_process";
import { createInterface } from "node:readline";

const [, , program] = process.argv;
let target;

// Nothing of the user's is read or written.
const env = { PATH: process.env.PATH, HOME: process.env.TMPDIR, MCP_INSPECTOR_SECRET_STORE: "memory" };

function run(...options) {
    const era = target.revision === "2026-07-28" ? "modern" : "legacy";
    const header = target.token ? ["--header", `Authorization: Bearer ${target.token}`] : [];
    const fixed = ["--cli", target.url, "--transport", "http", "--protocol-era", era, "--stored-auth-only", "--quiet", "--format", "json"];
    return new Promise((resolve, reject) => {
        execFile(program, [...fixed, ...header, ...options], { env }, (_, stdout, stderr) => {
            // The result of a tool that failed is there, too.
            if (stdout) return resolve(JSON.parse(stdout).result);
            const line = stderr.trim().split("\n").findLast((line) => line.startsWith("{"));
            reject(new Error(line ? JSON.parse(line).error.message : stderr.trim()));
        });
    });
}

const commands = {
    // It connects with each command.
    async connect(command) {
        target = command;
        return command.revision;
    },
    list: async () => (await run("--method", "tools/list")).tools.map((tool) => tool.name),
    async call({ name, arguments: given = {} }) {
        const result = await run("--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(given));
        return { failed: Boolean(result.isError), text: result.content[0].text };
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
