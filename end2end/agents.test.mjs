// The crew as a person meets it: who is there, who waits, how one is made, started, stopped and deleted.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { axe, scene, SCREENS, SIZES, until } from './program.mjs';
import { open, setUp, signIn } from './screens.mjs';

const card = (page, name) => page.getByRole('article', { name, exact: true });
const dialog = page => page.getByRole('dialog').filter({ visible: true });
const badge = page => page.getByRole('navigation', { name: 'Pages' }).locator('.count');
const HERE = /^(running|not installed|not set up)$/;
const QUESTION = `printf ' Bash command\\n   rm -rf build\\n Do you want to proceed?\\n 1. Yes\\n 2. No\\n'; sleep 600`;

// A path without tmux, until it is put there.
const bare = mkdtempSync(join(tmpdir(), 'central-mcp-bare-'));
process.on('exit', () => rmSync(bare, { recursive: true, force: true }));

/** Fills the form; `command` is a word a line. */
async function fill(page, { slug, name, program, command, variables = [] }) {
    await dialog(page).getByLabel('Slug').fill(slug);
    await dialog(page).getByLabel('Name', { exact: true }).fill(name);
    await until('the programs are there', async () => (await dialog(page).getByLabel('Program', { exact: true }).locator('option').count()) >= 6);
    await dialog(page).getByLabel('Program', { exact: true }).selectOption({ label: program });
    if (command) await dialog(page).getByLabel('Command', { exact: true }).fill(command);
    for (const [key, value, secret] of variables) {
        await dialog(page).getByRole('button', { name: 'Add a variable' }).click();
        await dialog(page).getByLabel('Name of the variable').last().fill(key);
        if (secret) await dialog(page).getByRole('checkbox', { name: 'secret' }).last().check();
        await dialog(page).getByLabel('Value', { exact: true }).last().fill(value);
    }
}

scene('the first crew stands, and on a machine without their programs each says what to install', async ({ hub, page }) => {
    await setUp(page, hub);
    await open(page, '/overview');
    await page.keyboard.press('g');
    await page.keyboard.press('a');
    await page.waitForURL('**/agents');
    for (const name of ['Coordinator', 'Architecture', 'Backend', 'UI']) {
        // What its program is decides, and whether this machine has it.
        await card(page, name).getByText(HERE).waitFor();
        await card(page, name).getByText('online').waitFor();
        assert.match(await card(page, name).getByRole('link', { name: 'Open terminal' }).getAttribute('href'), /^\/terminals\/agent-[abcd]$/);
    }
    await page.getByText('4 agents').waitFor();
    await page.screenshot({ path: join(SCREENS, 'agents-crew.png') });
    assert.equal(await badge(page).count(), 0, 'nobody waits');
}, { crew: true });

scene('the last contacts are asked for while somebody looks, for no event tells of them', async ({ hub, page }) => {
    await setUp(page, hub);
    await page.clock.install();
    await open(page, '/agents');
    await card(page, 'Backend').getByText('online').waitFor();
    const asked = page.waitForResponse('**/api/list_agents');
    await page.clock.fastForward(31_000);
    assert.equal((await asked).status(), 200);
}, { crew: true });

scene('an agent is made, started, changed and deleted, and its secret is never shown again', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await open(page, '/agents?new');
    await dialog(page).waitFor();
    assert.ok(page.url().endsWith('/agents'), 'the mark is taken from the address');
    // What is wrong is said beside it, and what was typed stays.
    watch.expect(/answer 422: POST \/api\/create_agent/, /console error: Failed to load resource/);
    await fill(page, { slug: 'Not A Slug', name: 'Tester', program: 'Plain shell', variables: [['KEY', 'hunter2-hunter2', true], ['PLAIN', 'seen']] });
    await dialog(page).getByRole('button', { name: 'Save', exact: true }).click();
    await dialog(page).getByText(/is no slug/).waitFor();
    await dialog(page).getByLabel('Slug').fill('tester');
    await dialog(page).getByRole('button', { name: 'Save and start' }).click();
    await card(page, 'Tester').getByText('running', { exact: true }).waitFor();

    await card(page, 'Tester').getByRole('button', { name: 'Edit' }).click();
    await until('the variables are there', async () => (await dialog(page).getByLabel('Value', { exact: true }).count()) === 2);
    const value = dialog(page).getByLabel('Value', { exact: true });
    assert.deepEqual([await value.first().inputValue(), await value.last().inputValue()], ['', 'seen']);
    assert.match(await value.first().getAttribute('placeholder'), /stored/);
    assert.ok(!(await page.content()).includes('hunter2'));
    await dialog(page).getByLabel('Role', { exact: true }).fill('Tests what the others build');
    await dialog(page).getByRole('button', { name: 'Save', exact: true }).click();
    await card(page, 'Tester').getByText('Tests what the others build').waitFor();

    await card(page, 'Tester').getByRole('button', { name: 'Stop' }).click();
    await card(page, 'Tester').getByText('stopped', { exact: true }).waitFor();
    await card(page, 'Tester').getByRole('button', { name: 'Start', exact: true }).click();
    await card(page, 'Tester').getByText('running', { exact: true }).waitFor();
    await card(page, 'Tester').getByRole('button', { name: 'Delete' }).click();
    await dialog(page).getByText(/token is revoked/).waitFor();
    await dialog(page).getByRole('button', { name: /^Delete agent/ }).click();
    await until('it is gone', async () => (await card(page, 'Tester').count()) === 0);
});

scene('an agent that asks stands at the top of the overview until it is answered', async ({ hub, page }) => {
    await setUp(page, hub);
    await open(page, '/agents?new');
    await fill(page, { slug: 'asker', name: 'Asker', program: 'Claude Code', command: `sh\n-c\n${QUESTION}` });
    await dialog(page).getByRole('button', { name: 'Save and start' }).click();
    await card(page, 'Asker').getByText('asks: Do you want to proceed?').waitFor();
    assert.equal(await page.getByRole('article').first().getAttribute('aria-label'), 'Asker', 'who waits stands first');
    await until('the rail counts it', async () => (await badge(page).count()) === 1 && /^1/.test(await badge(page).innerText()));

    const wrong = [];
    for (const [size, viewport] of Object.entries(SIZES)) {
        await page.setViewportSize(viewport);
        for (const theme of ['dark', 'light']) {
            await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
            for (const path of ['/agents', '/overview', '/agents?new']) {
                await open(page, path);
                if (path.endsWith('new')) await dialog(page).waitFor();
                await page.waitForTimeout(300);
                await page.screenshot({ path: join(SCREENS, `agents${path.replace(/\W/g, '-')}-${theme}-${size}.png`) });
                wrong.push(...(await axe(page)).map(line => `${path} ${theme} ${size}: ${line}`));
                const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                if (wide > 0) wrong.push(`${path} ${theme} ${size}: ${wide} px too wide`);
            }
        }
    }
    assert.deepEqual(wrong, []);

    await page.setViewportSize(SIZES.desktop);
    await open(page, '/overview');
    const needs = page.getByRole('region', { name: 'Needs you' });
    await needs.getByText('asks: Do you want to proceed?').waitFor();
    assert.equal(await needs.getByRole('link', { name: 'Open terminal' }).getAttribute('href'), '/terminals/agent-asker');
    await page.evaluate(() => { window.sameDocument = true; });
    const list = await page.evaluate(() => fetch('/api/list_agents', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }).then(answer => answer.json()));
    const { id } = list.find(agent => agent.draft.slug === 'asker');
    await page.evaluate(id => fetch('/api/stop_agent', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id }) }), id);
    await until('nobody waits any more', async () => (await needs.count()) === 0 && (await badge(page).count()) === 0);
    assert.equal(await page.evaluate(() => window.sameDocument), true, 'without a reload');
});

scene('who may not change agents sees no buttons for it', async ({ hub, page }) => {
    hub.owner();
    hub.command(['user', 'create', '--name', 'vera', '--role', 'viewer', '--password-stdin'], 'correct horse battery\n');
    await signIn(page, 'vera');
    await page.waitForURL('**/overview');
    await open(page, '/agents');
    await card(page, 'Backend').getByText(HERE).waitFor();
    assert.equal(await page.getByRole('main').getByRole('button', { name: /^(Start|Stop|Restart|Edit|Delete|New agent)/ }).count(), 0);
    await card(page, 'Backend').getByRole('link', { name: 'Open terminal' }).waitFor();
}, { crew: true });

scene('what could not be done is said no longer once it was done after all', async ({ hub, page, first, watch }) => {
    await setUp(page, hub);
    await open(page, '/agents?new');
    await fill(page, { slug: 'late', name: 'Late', program: 'Plain shell' });
    await dialog(page).getByRole('button', { name: 'Save', exact: true }).click();
    watch.expect(/^answer 50\d: POST \/api\/start_agent/, /status of 50\d/);
    await card(page, 'Late').getByRole('button', { name: 'Start', exact: true }).click();
    const said = card(page, 'Late').getByRole('alert').filter({ hasText: /need tmux/ });
    await said.waitFor();
    symlinkSync('/usr/bin/tmux', join(bare, 'tmux'));
    // In another window.
    const other = await first.newPage();
    await open(other, '/agents');
    await card(other, 'Late').getByRole('button', { name: 'Start', exact: true }).click();
    await card(page, 'Late').getByText('running', { exact: true }).waitFor();
    await said.waitFor({ state: 'hidden' });
}, { env: { PATH: bare } });

scene('the page of agents comes by itself when the hub can be reached again, or when asked', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    watch.expect(/ERR_CONNECTION_REFUSED|ERR_FAILED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_NETWORK/);
    await open(page, '/agents');
    const go = async key => { await page.keyboard.press('g'); await page.keyboard.press(key); };
    const failure = page.getByText(/cannot be reached/).first();
    await go('o');
    await page.waitForURL('**/overview');
    await page.route('**/api/list_agents', route => route.abort());
    await go('a');
    await failure.waitFor();
    await page.unroute('**/api/list_agents');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText('No agent yet').waitFor();
    await go('o');
    await page.waitForURL('**/overview');
    await hub.down('SIGKILL');
    await page.getByRole('status').filter({ hasText: /^(reconnecting|offline)/ }).waitFor();
    await go('a');
    await failure.waitFor();
    await hub.up();
    await page.getByText('No agent yet').waitFor({ timeout: 30_000 });
});

scene('what another has changed meanwhile is not written over', async ({ hub, page, watch }) => {
    await setUp(page, hub);
    await open(page, '/agents?new');
    await fill(page, { slug: 'both', name: 'Both', program: 'Plain shell' });
    await dialog(page).getByRole('button', { name: 'Save', exact: true }).click();
    const second = await page.context().newPage();
    for (const one of [page, second]) {
        await open(one, '/agents');
        await card(one, 'Both').getByRole('button', { name: 'Edit' }).click();
    }
    await dialog(second).getByLabel('Role').fill('of bob');
    await dialog(second).getByRole('button', { name: 'Save', exact: true }).click();
    await card(page, 'Both').getByText('of bob').waitFor();
    watch.expect(/answer 409: POST \/api\/edit_agent/, /console error: Failed to load resource/);
    await dialog(page).getByLabel('Name', { exact: true }).fill('Of ada');
    await dialog(page).getByRole('button', { name: 'Save', exact: true }).click();
    await dialog(page).getByText(/was changed meanwhile/).waitFor();
});
