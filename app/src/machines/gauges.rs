//! How busy a machine is, as bars with their numbers.

use leptos::prelude::*;
use server::machines::{Facts, Gpu};

/// From this share on something is nearly used up.
const HIGH: f64 = 90.0;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
struct Gauge {
    label: &'static str,
    /// 0 to 100; `None`: not known.
    percent: Option<f64>,
    /// What stands beside it.
    amount: String,
}

/// Bars of one thing: of the machine itself, or of a GPU.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    name: Option<String>,
    gauges: Vec<Gauge>,
}

/// All bars of a machine. `old`: it is not connected, so they say how it was.
pub(super) fn gauges(facts: &Facts, old: bool) -> AnyView {
    let all = groups(facts).into_iter().map(|group| {
        let name = group.name.map(|name| view! { <h3 title=name.clone()>{name.clone()}</h3> });
        view! { {name} <dl class="gauges">{group.gauges.into_iter().map(bar).collect_view()}</dl> }.into_any()
    });
    view! { <div class="load" class:old=old>{all.collect_view()}</div> }.into_any()
}

fn bar(gauge: Gauge) -> AnyView {
    let Gauge { label, percent, amount } = gauge;
    let high = percent.is_some_and(|percent| percent >= HIGH);
    let number = percent.map_or_else(|| "unknown".to_owned(), |percent| format!("{percent:.0} %"));
    // The number beside it says the same.
    view! {
        <div class:high=high class:unknown=percent.is_none()>
            <dt>{label}</dt>
            <dd>
                <progress max="100" value=format!("{:.1}", percent.unwrap_or_default()) aria-hidden="true"></progress>
                <b>{number}</b> <span>{amount}</span>
            </dd>
        </div>
    }
    .into_any()
}

fn groups(facts: &Facts) -> Vec<Group> {
    let own = vec![
        Gauge {
            label: "CPU",
            percent: facts.cpu.map(f64::from),
            amount: crate::ui::count(facts.cpus.into(), "core", "cores"),
        },
        space("Memory", Some(facts.memory_used), Some(facts.memory_total)),
        space("Disk", Some(facts.disk_used), Some(facts.disk_total)),
    ];
    let of_gpu = |gpu: &Gpu| Group {
        name: Some(gpu.name.clone()),
        gauges: vec![
            Gauge {
                label: "GPU",
                percent: gpu.load.map(f64::from),
                amount: gpu.celsius.map_or_else(|| "°C unknown".to_owned(), |celsius| format!("{celsius:.0} °C")),
            },
            space("Memory", gpu.memory_used, gpu.memory_total),
        ],
    };
    std::iter::once(Group { name: None, gauges: own }).chain(facts.gpus.iter().map(of_gpu)).collect()
}

/// A part of something that is measured in bytes.
fn space(label: &'static str, used: Option<u64>, total: Option<u64>) -> Gauge {
    let total = total.filter(|total| *total > 0);
    let percent = used.zip(total).map(|(used, total)| 100.0 * used as f64 / total as f64);
    let amount = match (used, total) {
        (Some(used), Some(total)) => format!("{} of {} GiB", gib(used), gib(total)),
        (None, Some(total)) => format!("of {} GiB", gib(total)),
        (Some(used), None) => format!("{} GiB", gib(used)),
        (None, None) => String::new(),
    };
    Gauge { label, percent, amount }
}

/// `0.4`, `79.6`, `1863`: with as many digits as tell something.
fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib < 100.0 { format!("{gib:.1}") } else { format!("{gib:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn what_is_not_known_is_said_so_and_is_never_zero() {
        let gpu =
            Gpu { name: "H100".into(), memory_used: None, memory_total: Some(80 * GIB), load: None, celsius: None };
        let facts = Facts {
            cpus: 1,
            cpu: None,
            memory_used: GIB / 2,
            memory_total: 2 * GIB,
            disk_used: 0,
            disk_total: 0,
            gpus: vec![gpu],
        };
        let all = groups(&facts);
        let said = |group: usize| -> Vec<_> {
            all[group].gauges.iter().map(|it| (it.label, it.percent, it.amount.as_str())).collect()
        };
        assert_eq!(
            said(0),
            [("CPU", None, "1 core"), ("Memory", Some(25.0), "0.5 of 2.0 GiB"), ("Disk", None, "0.0 GiB")]
        );
        assert_eq!(said(1), [("GPU", None, "°C unknown"), ("Memory", None, "of 80.0 GiB")]);
        assert_eq!(all[1].name.as_deref(), Some("H100"));
        assert_eq!(gib(2000 * GIB), "2000");
    }
}
