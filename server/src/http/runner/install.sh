#!/bin/sh
# Makes this machine one of a Central-MCP hub: fetches the hub's own program, checks it, joins, and starts the runner.
#
#   curl -fsSL HUB/runner/install.sh | CENTRAL_MCP_RUNNER_TOKEN=cmj_... sh -s -- --sha256 HEX
#
#   --token cmj_  the token, where an argument that everybody on this machine can read does no harm
#   --insecure    take a hub on another machine without encryption
#   --data DIR    folder for this machine's key and sessions [~/.local/share/central-mcp-runner]
#   --to DIR      folder for the program [/usr/local/bin for root, else ~/.local/bin]
#   --no-service  start a program of its own, also where systemd would keep it running
#
# Everything is in functions, and the last line calls them: of a script that was cut short nothing runs.
set -eu

hub='@BASE@'
system='@SYSTEM@'

say() { printf '%s\n' "$*"; }

fail() {
    printf 'central-mcp: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# What is left when something fails: nothing that was not there before. Once joined, the key stays: it was given only once.
undo() {
    code=$?
    rm -rf "$work"
    if [ "$code" -ne 0 ] && [ -z "$joined" ] && [ -n "$fresh" ]; then
        rm -rf "$data"
    fi
    exit "$code"
}

read_words() {
    token=${CENTRAL_MCP_RUNNER_TOKEN:-} sha256='' data='' folder='' insecure='' service=yes
    # For the one call that needs it, and for nothing that is started here.
    unset CENTRAL_MCP_RUNNER_TOKEN
    while [ $# -gt 0 ]; do
        case "$1" in
            --insecure) insecure=--insecure ;;
            --no-service) service='' ;;
            --token | --sha256 | --data | --to)
                [ $# -ge 2 ] || fail "$1 needs a value; copy the whole install line from the page Machines"
                case "$1" in
                    --token) token=$2 ;;
                    --sha256) sha256=$2 ;;
                    --data) data=$2 ;;
                    --to) folder=$2 ;;
                esac
                shift
                ;;
            *) fail "\"$1\" is not understood; copy the whole install line from the page Machines" ;;
        esac
        shift
    done
    case "$token" in
        cmj_*) ;;
        *) fail "there is no token; copy the whole install line from the page Machines" ;;
    esac
    # It goes into a file that curl reads; nothing but what a token is made of may stand there.
    case "$token" in *[!a-z0-9_]*) fail "the token is damaged; copy the install line again" ;; esac
    case "$sha256" in
        '' | *[!0-9a-f]*) fail "there is no checksum; copy the whole install line from the page Machines" ;;
    esac
}

check_machine() {
    here=$(uname -sm)
    [ "$here" = "$system" ] || fail "this machine is $here, and the hub's program is for $system; \
build central-mcp for this machine, and start it as: CENTRAL_MCP_RUNNER_TOKEN=TOKEN central-mcp runner --hub $hub"
    # By its whole host: "localhost.example.org" is another machine.
    host=${hub#http://}
    host=${host%%/*}
    case "$host" in
        "["*) host=${host%%]*}] ;;
        *) host=${host%%:*} ;;
    esac
    case "$host" in
        127.*[!0-9.]*) own='' ;;
        localhost | 127.*.*.* | "[::1]") own=yes ;;
        *) own='' ;;
    esac
    case "$hub" in https://*) own=yes ;; esac
    [ -n "$own" ] || [ -n "$insecure" ] || fail "$hub is reached without encryption, and this machine's key would cross the network \
in the clear; give the hub an https address, or add --insecure to the end of the line if this network is yours alone"
    has curl || { has wget && wget --version 2>/dev/null | grep -q GNU; } ||
        fail "curl or GNU wget is needed; install one of them and run the line again"
    has sha256sum || has shasum || fail "sha256sum or shasum is needed; install one of them and run the line again"
}

places() {
    # By a service manager only for root: without one, or for a user, the runner is started as a program of its own.
    root='' systemd=''
    [ "$(id -u)" -ne 0 ] || root=yes
    [ -z "$root" ] || [ -z "$service" ] || [ ! -d /run/systemd/system ] || ! has systemctl || systemd=yes
    if [ -z "$folder" ]; then
        if [ -n "$root" ]; then folder=/usr/local/bin; else folder=${HOME:?}/.local/bin; fi
    fi
    program=$folder/central-mcp
    [ -n "$data" ] || data=${XDG_DATA_HOME:-${HOME:-/root}/.local/share}/central-mcp-runner
    for place in "$data" "$folder"; do
        case "$place" in
            *[!A-Za-z0-9/._-]*) fail "the folder \"$place\" has letters that a service cannot take; choose others with --data and --to" ;;
            /*) ;;
            *) fail "the folder \"$place\" must begin with /" ;;
        esac
    done
    fresh=''
    [ -e "$data" ] || fresh=yes
}

# The token goes to the download by standard input or a file of our own: arguments can be read by everybody here.
download() {
    say "Fetching the program from $hub"
    if has curl; then
        printf 'header = "Authorization: Bearer %s"\n' "$token" |
            curl -fsS --config - --retry 2 --max-time 600 -o "$work/central-mcp" "$hub/runner/program" ||
            fail "the program cannot be fetched from $hub; a token lives for an hour and works once: make another on the page Machines"
    else
        (umask 077 && printf 'header = Authorization: Bearer %s\n' "$token" >"$work/wgetrc")
        WGETRC=$work/wgetrc wget -q -T 60 -O "$work/central-mcp" "$hub/runner/program" ||
            fail "the program cannot be fetched from $hub; a token lives for an hour and works once: make another on the page Machines"
    fi
}

check_program() {
    if has sha256sum; then sum=$(sha256sum "$work/central-mcp"); else sum=$(shasum -a 256 "$work/central-mcp"); fi
    sum=${sum%% *}
    [ "$sum" = "$sha256" ] || fail "what came is not the hub's program: its SHA-256 is $sum and should be $sha256. \
Nothing was installed. If the hub was updated meanwhile, load the page Machines again and copy the line anew"
    chmod 755 "$work/central-mcp"
    "$work/central-mcp" --version >/dev/null 2>"$work/why" ||
        fail "the hub's program does not run here: $(head -n 1 "$work/why")"
}

# Sessions are kept by tmux. Before anything else, for without it a machine is of no use.
tmux_too() {
    ! has tmux || return 0
    how="install it (apt-get install tmux, apk add tmux, or dnf install tmux) and run the line again"
    [ -n "$root" ] || fail "tmux is needed; $how"
    say "Installing tmux"
    if has apt-get; then
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq tmux; } >"$work/tmux" 2>&1 || true
    elif has apk; then
        apk add tmux >"$work/tmux" 2>&1 || true
    elif has dnf; then
        dnf install -yq tmux >"$work/tmux" 2>&1 || true
    fi
    has tmux || fail "tmux is needed and could not be installed; $how"
}

# A runner that is here already must let go of its folder; its sessions are left alone.
stop_old() {
    stopped=''
    if [ -n "$systemd" ] && systemctl -q is-active central-mcp-runner.service; then
        systemctl stop central-mcp-runner.service || true
        stopped=yes
    fi
    old=$(cat "$data/runner.lock" 2>/dev/null || true)
    case "$old" in '' | *[!0-9]*) return 0 ;; esac
    tr '\0' ' ' 2>/dev/null <"/proc/$old/cmdline" | grep -q 'central-mcp.* runner' || return 0
    kill "$old" 2>/dev/null || return 0
    stopped=yes
    tries=0
    while kill -0 "$old" 2>/dev/null && [ "$tries" -lt 50 ]; do
        tries=$((tries + 1))
        sleep 0.2
    done
}

join() {
    say "Joining $hub"
    # shellcheck disable=SC2086 # one word or none
    CENTRAL_MCP_RUNNER_TOKEN=$token "$work/central-mcp" runner --only-join --hub "$hub" --data "$data" $insecure || {
        # What was here before goes on.
        [ -z "$stopped" ] || start
        fail "this machine did not join; nothing was installed"
    }
    joined=yes
}

put_program() {
    mkdir -p "$folder" || fail "$folder cannot be made; this machine has joined, its key is in $data"
    # By a rename, for an older one may be running.
    { cp "$work/central-mcp" "$program.new" && mv -f "$program.new" "$program"; } || {
        rm -f "$program.new"
        fail "$program cannot be written; this machine has joined, its key is in $data"
    }
}

start() {
    rm -f "$data/link"
    if [ -n "$systemd" ]; then
        cat >/etc/systemd/system/central-mcp-runner.service <<UNIT
[Unit]
Description=Central-MCP runner
After=network-online.target
Wants=network-online.target

[Service]
Environment=HOME=${HOME:-/root}
ExecStart=$program runner --data $data $insecure
Restart=always
RestartSec=2
# 3: the hub refuses this machine for good.
RestartPreventExitStatus=3
# The sessions of tmux outlive the runner.
KillMode=process

[Install]
WantedBy=multi-user.target
UNIT
        systemctl daemon-reload && systemctl enable -q central-mcp-runner.service &&
            systemctl restart central-mcp-runner.service ||
            fail "the service cannot be started; see: journalctl -u central-mcp-runner. By hand: $program runner --data $data"
        log="journalctl -u central-mcp-runner"
    else
        detach=''
        ! has setsid || detach=setsid
        log=$data/runner.log
        # shellcheck disable=SC2086 # one word or none
        $detach nohup "$program" runner --data "$data" $insecure >>"$log" 2>&1 </dev/null &
    fi
}

wait_for_link() {
    tries=0
    while [ "$tries" -lt 100 ]; do
        state=$(cat "$data/link" 2>/dev/null || true)
        case "$state" in
            connected*) return 0 ;;
            refused*) break ;;
        esac
        tries=$((tries + 1))
        sleep 0.2
    done
    say "Installed and joined, but not connected within 20 s. It goes on trying; its last word: ${state:-none}" >&2
    fail "more in: $log"
}

tell_next() {
    say "This machine is ${state}."
    say "Start a terminal or an agent on it from $hub/machines"
    if [ -z "$systemd" ]; then
        say "It runs until this machine restarts. To start it again: $program runner --data $data $insecure"
    fi
    case ":$PATH:" in
        *":$folder:"*) ;;
        *) say "$folder is not in PATH; the program is $program" ;;
    esac
}

install_runner() {
    read_words "$@"
    check_machine
    places
    joined=''
    work=$(mktemp -d)
    trap undo EXIT
    trap 'exit 1' HUP INT TERM
    tmux_too
    download
    check_program
    stop_old
    join
    put_program
    start
    wait_for_link
    tell_next
}

install_runner "$@"
