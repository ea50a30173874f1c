// "Connect an agent": a token made on the page lets a program in, and the page says so by itself.

import assert from 'node:assert/strict';
import { SIZES, scene, until } from './program.mjs';
import { open, setUp, signIn } from './screens.mjs';

const step = (page, name) => page.getByRole('region', { name });
const commands = page => step(page, 'Paste it into the client').locator('.command code');

/** Opens a session as the program `name` does; returns what the hub answered. */
async function initialize(url, headers, name, version) {
    const answer = await fetch(url, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: {
            protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name, version },
        } }),
    });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return text;
}

scene('a token made here lets an agent in, and the page tells its name, version and revision by itself', async ({ hub, page }) => {
    await setUp(page, hub);
    await page.getByRole('link', { name: 'Connect an agent' }).click();
    await page.waitForURL('**/connect');
    await open(page, '/connect?client=gemini-cli');
    assert.equal(await page.getByRole('radio', { name: 'Gemini CLI' }).isChecked(), true, 'the client is in the address');
    assert.match(await commands(page).first().innerText(), /YOUR_TOKEN/, 'there is no secret yet');
    await page.evaluate(() => { window.sameDocument = true; });

    const name = page.getByRole('textbox', { name: 'Agent' });
    assert.equal(await name.inputValue(), 'a', 'a name is proposed');
    await name.fill('Not a Slug');
    await page.getByRole('alert').filter({ hasText: 'a-z, 0-9' }).waitFor();
    await name.fill('reviewer');
    await page.getByRole('alert').filter({ hasText: 'a-z, 0-9' }).waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Create token' }).click();
    await step(page, 'See it connect').getByText('Waiting for the first call').waitFor();
    assert.match(page.url(), /client=gemini-cli&token=[0-9a-f-]{36}$/, 'the address holds the id');
    const secret = await step(page, 'Make a token').locator('code').first().innerText();
    assert.match(secret, /^cmcp_[0-9a-f]{64}$/);
    assert.ok(!page.url().includes(secret), 'and never the secret');

    // What is pasted is what lets in.
    const settings = JSON.parse(await commands(page).first().innerText());
    const { httpUrl, headers } = settings.mcpServers.hub;
    assert.equal(httpUrl, `${hub.origin}/mcp`);
    assert.equal(headers.Authorization, `Bearer ${secret}`);
    await initialize(httpUrl, headers, 'gemini-cli', '0.9.1');
    const line = step(page, 'See it connect').getByRole('status').filter({ hasText: 'connected' });
    await line.getByText('gemini-cli 0.9.1').waitFor({ timeout: 2_000 });
    assert.match(await line.innerText(), /protocol 2025-11-25 · over HTTP · now/);
    await page.getByText('Now ask it').waitFor();
    // Another program under the same token takes its place.
    await initialize(httpUrl, headers, 'codex-mcp-client', '0.142.3');
    await line.getByText('codex-mcp-client 0.142.3').waitFor({ timeout: 2_000 });

    // Every client's form holds the token or names the variable; the WebSocket has its own scheme.
    for (const client of ['Claude Code', 'Codex', 'opencode', 'Cursor', 'VS Code', 'stdio, other']) {
        await page.getByText(client, { exact: true }).click();
        await until(`${client} is shown`, async () => (await commands(page).allInnerTexts()).join('\n').includes(secret));
        assert.ok((await commands(page).allInnerTexts()).join('\n').includes(`${hub.origin}/mcp`), client);
    }
    await page.getByText('Claude Code', { exact: true }).click();
    await until('the address follows', () => page.url().includes('client=claude-code&token='));
    assert.match((await commands(page).allInnerTexts()).join('\n'), /ws:\/\/[a-z0-9.]+:\d+\/mcp/);
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'without a reload');

    // After a reload the secret is gone, and who came in is still told.
    await open(page, new URL(page.url()).pathname + new URL(page.url()).search);
    await line.getByText('codex-mcp-client 0.142.3').waitFor();
    assert.ok(!(await page.content()).includes(secret), 'the secret was shown once');
    // It is in the list of tokens.
    await page.goto('/settings');
    await page.locator('#tokens').getByRole('cell', { name: 'agent reviewer' }).first().waitFor();
    await page.locator('#tokens').getByRole('link', { name: 'Connect an agent' }).waitFor();
});

scene('the palette leads to it, and a keyboard is enough', async ({ hub, page }) => {
    await setUp(page, hub);
    await open(page, '/overview');
    await page.keyboard.press('Control+k');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.type('connect an');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/connect');
    await page.getByRole('textbox', { name: 'Agent' }).focus();
    await page.keyboard.press('Enter');
    await step(page, 'See it connect').getByText('Waiting for the first call').waitFor();
    await until('the focus is at what was made', () => page.evaluate(() => document.activeElement?.innerText.includes('Token of agent a')));
    await page.getByRole('radio', { name: 'Claude Code' }).focus();
    await page.keyboard.press('ArrowRight');
    await until('the next client is shown', async () => (await commands(page).allInnerTexts()).some(text => text.startsWith('codex mcp add')));
    assert.equal(await page.getByRole('radio', { name: 'Codex' }).evaluate(node => node === document.activeElement), true, 'the focus stays');
    await page.getByRole('button', { name: 'Another agent' }).press('Enter');
    await until('the next name is proposed', async () => await page.getByRole('textbox', { name: 'Agent' }).inputValue() === 'b');
    assert.match(await commands(page).first().innerText(), /^export CENTRAL_MCP_TOKEN=YOUR_TOKEN|codex/);
});

scene('who may not make tokens is told whom to ask, and still sees what to paste', async ({ hub, page, context }) => {
    hub.owner();
    hub.command(['user', 'create', '--name', 'vera', '--role', 'viewer', '--password-stdin'], 'correct horse battery\n');
    await signIn(page, 'vera');
    await page.waitForURL('**/overview');
    await open(page, '/connect?client=codex');
    await page.getByText('Operators make tokens').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Create token' }).count(), 0);
    assert.match(await commands(page).first().innerText(), /YOUR_TOKEN/);
});

scene('on a phone the page stays as wide as the screen, files keep their lines, and what is waited for stays in sight', async ({ hub, page }) => {
    await setUp(page, hub);
    await page.setViewportSize(SIZES.phone);
    await open(page, '/connect?client=claude-code');
    await page.getByRole('button', { name: 'Create token' }).click();
    const waiting = step(page, 'See it connect').getByText('Waiting for the first call');
    await waiting.waitFor();
    const inSight = async () => {
        const box = await waiting.boundingBox();
        return box && box.y >= 0 && box.y + box.height <= SIZES.phone.height;
    };
    const file = page.locator('.paste.file code').first();
    for (const line of [commands(page).first(), file]) {
        await line.scrollIntoViewIfNeeded();
        assert.ok(await inSight(), 'it is waited for in sight');
    }
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), SIZES.phone.width);
    const { lines, height, text } = await file.evaluate(code => ({
        lines: code.textContent.split('\n').length, height: code.getBoundingClientRect().height, text: parseFloat(getComputedStyle(code).lineHeight),
    }));
    assert.ok(height < (lines + 2) * text, `${lines} lines in ${height} px`);
});
