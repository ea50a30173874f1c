// What the terminals of a crew at work say, for the picture of the wall. The programs of agents are not there when the picture
// is made, so scripts say what they would; everything else in it is real.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './program.mjs';

const paint = number => text => `\x1b[${number}m${text}\x1b[0m`;
const [bold, dim, red, green, yellow, blue, magenta, cyan] = [1, 2, 31, 32, 33, 34, 35, 36].map(paint);

/** By terminal: what it has said, and what it goes on to say, a line each half second, over and over. */
const SAID = {
    a: [`
${bold('●')} The share links are in. What is left for tonight:

  ${green('✔')} c  links end by themselves        ${dim('38 tests')}
  ${green('✔')} b  one door to the rooms          ${dim('reviewed')}
  ${yellow('◐')} d  the wall on phones             ${dim('screenshots')}
  ${dim('○')} c  recordings keep their size

${bold('●')} I hand ${cyan('recordings')} to c and wait for d.

${magenta('✻')} ${magenta('Waiting for the crew…')} ${dim('(4m 12s · ↓ 9.1k tokens)')}
`],
    b: [`
${bold('●')} ${bold('Update')}(server/src/terminals/links.rs)
    ${dim('61')}   let ends = link.expires_at;
    ${red('62 - if ends < now {')}
    ${green('62 + if ends <= clock.now() {')}
    ${dim('63')}       return Err(ended(&link));

 ${blue('╭──────────────────────────────────────────────────╮')}
 ${blue('│')} ${bold('cargo test -p server --lib links')}                 ${blue('│')}
 ${blue('╰──────────────────────────────────────────────────╯')}
 Do you want to proceed?
 ${cyan('❯ 1. Yes')}
   2. Yes, and do not ask again for cargo test
   3. No, and tell what to do differently
`],
    c: [`
${bold('•')} Ran ${cyan('cargo test -p server terminals')}
`, ['a_guest_looks_and_nothing_else', 'a_link_ends_at_its_time', 'a_late_viewer_gets_the_screen', 'a_paste_is_bracketed_where_wanted',
        'only_the_holder_types', 'a_recording_keeps_its_size', 'an_away_machine_refuses_keys', 'tmux_outlives_the_hub',
        'a_flood_elsewhere_is_not_felt', 'no_answer_reaches_a_program', 'a_resize_storm_settles', 'a_ticket_opens_one_socket']
        .map(name => `test terminals::${name.slice(0, 34)} ... ${green('ok')}`)],
    d: [`
${bold('●')} ${bold('Write')}(style/terminals.css)
    ${green('+ @media (max-width: 640px) {')}
    ${green('+     .glass { overscroll-behavior: contain; }')}
    ${green('+     .keybar { display: grid; }')}
    ${green('+ }')}

${bold('●')} ${bold('Bash')}(node end2end/screens.mjs --phone)
    ${dim('└')}  390 × 844  dark   ${green('12 of 12')}
       390 × 844  light  ${green('12 of 12')}
       360 × 740  dark   ${yellow(' 9 of 12')}

${magenta('✻')} ${magenta('Looking at the pictures…')} ${dim('(52s · esc to interrupt)')}
`],
    build: ['', ['serde v1.0.228', 'tokio v1.48.0', 'axum v0.8.7', 'sqlx-core v0.9.0', 'leptos v0.8.23', 'reactive_graph v0.2.16', 'rmcp v1.4.0',
        'image v0.25.9', 'xterm-js-rs v0.1.2', 'server v0.1.0', 'app v0.1.0', 'central-mcp v0.1.0'].map(name => `   ${green(bold('Compiling'))} ${name}`)],
    comfyui: ['', Array.from({ length: 13 }, (_, n) => {
        const done = n + 1;
        return ` ${String(Math.round(done * 7.7)).padStart(3)}% ${green('█'.repeat(done * 2).padEnd(26, '░'))} ${done}/13 ${dim(`[00:${String(done * 2).padStart(2, '0')}, 1.9 s/it]`)}`;
    })],
    docs: [`
${dim('$')} git log --oneline --graph
${yellow('*')}   ${yellow('74cc2c1')} ${green('(HEAD -> main)')} Merge links into main
${yellow('|')}${red('\\')}
${yellow('|')} ${red('*')} ${yellow('de49ee0')} A link ends by itself
${yellow('|')} ${red('*')} ${yellow('c3280dd')} Guests are counted apart
${yellow('*')} ${red('|')} ${yellow('fc374e8')} The wall is read on a phone
${yellow('|/')}
${yellow('*')} ${yellow('a8850f8')} The player seeks by marks
${yellow('*')} ${yellow('91d02be')} Machines join by one line
${yellow('*')} ${yellow('5c7f3aa')} Keys are told of when they are lost
${dim('$')} _
`],
};

/** A folder with programs of the names that agents have; each says what its agent would. */
export function standIns() {
    const folder = mkdtempSync(join(tmpdir(), 'central-mcp-agents-'));
    for (const program of ['claude', 'codex']) {
        writeFileSync(join(folder, program), `#!${process.execPath}\n${script('process.cwd().match(/agents.(.).work/)?.[1]')}`, { mode: 0o755 });
    }
    return folder;
}

/** Starts what is no agent's, and lets the one work that has no token to be started with. */
export async function atWork(hub) {
    const tmux = (...args) => spawnSync('tmux', ['-S', join(hub.data, 'terminals', 'tmux.sock'), ...args], { encoding: 'utf8' });
    await until('the crew is there', () => tmux('list-sessions').stdout.includes('agent-d'), 30_000);
    const file = join(hub.data, 'say.mjs');
    writeFileSync(file, script('process.argv[2]'));
    for (const name of ['build', 'comfyui', 'docs']) hub.command(['terminal', 'start', name, '--', process.execPath, file, name]);
    hub.command(['terminal', 'start', 'top', '--', 'top', '-d', '2', '-w', '62']);
    tmux('respawn-pane', '-k', '-t', 'agent-d', process.execPath, file, 'd');
}

const script = who => `
const [first, more = []] = ${JSON.stringify(SAID)}[${who}] ?? [''];
process.stdout.write('\\x1b[2J\\x1b[H' + first.trimStart().replaceAll('\\n', '\\r\\n'));
let n = 0;
const say = () => { if (more.length) console.log(more[n++ % more.length]); };
more.forEach(say);
setInterval(say, 500);
process.stdin.resume();
`;
