//! What our tmux is told at its start.

use super::last_words;

/// Our own configuration. Every line is there because a viewer, a program or a person could otherwise do something to tmux.
pub(in crate::terminals) fn configuration((major, minor): (u32, u32), term: &str) -> String {
    let mut conf = format!(
        "# Written by Central-MCP at every start; changes here are lost.\n\
         set-option -s exit-empty off\n\
         set-option -s set-clipboard off\n\
         set-option -s escape-time 10\n\
         set-option -s focus-events off\n\
         set-option -s extended-keys off\n\
         set-option -s default-terminal {term}\n\
         set-option -s terminal-features '*:256:RGB:title:bpaste:cstyle:mouse:strikethrough:sync'\n\
         set-option -s terminal-overrides '*:rep@:Ms@:E3@'\n\
         set-option -g update-environment ''\n\
         set-option -g history-limit 50000\n\
         set-option -g status off\n\
         set-option -g prefix None\n\
         set-option -g prefix2 None\n\
         set-option -g mouse off\n\
         set-option -g assume-paste-time 0\n\
         set-option -g destroy-unattached off\n\
         set-option -g detach-on-destroy on\n\
         set-option -g set-titles on\n\
         set-option -g set-titles-string '#{{?#{{==:#{{pane_title}},#{{host}}}},,#{{pane_title}}}}'\n\
         set-option -g visual-bell off\n\
         set-option -g bell-action any\n\
         set-option -g activity-action none\n\
         set-option -g silence-action none\n\
         set-option -g lock-after-time 0\n\
         set-option -gw monitor-bell on\n\
         set-option -gw monitor-activity off\n\
         set-option -gw automatic-rename off\n\
         set-option -gw allow-rename off\n\
         unbind-key -aq -T root\n\
         unbind-key -aq -T prefix\n\
         unbind-key -aq -T copy-mode\n\
         unbind-key -aq -T copy-mode-vi\n"
    );
    // Unknown before: passthrough is always off then, and how a program ended is not told.
    if (major, minor) >= (3, 3) {
        conf.push_str("set-option -gw allow-passthrough off\nset-option -gw remain-on-exit failed\n");
        conf.push_str(&format!("set-option -gw remain-on-exit-format '{}'\n", last_words::FORMAT));
    } else {
        conf.push_str("set-option -gw remain-on-exit off\n");
    }
    conf
}
