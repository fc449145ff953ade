//! What is measured: how a cost changes with one quantity, everything else alike.

/// One plot: what is on its axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plot {
    /// The name of its file and in the data.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
}

/// A quantity that is varied, and the plots that come of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: &'static [u64],
    pub(crate) plots: &'static [Plot],
}

pub(crate) const CURVES: &[Curve] = &[
    Curve {
        name: "size",
        points: &[
            1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576,
        ],
        plots: &[Plot {
            name: "size",
            title: "QoS 0, one client: the payload grows",
            x: "payload (bytes)",
            y: "time per message (ns)",
        }],
    },
    Curve {
        name: "window",
        points: &[1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_535],
        plots: &[Plot {
            name: "window",
            title: "64 bytes: more messages may be in flight",
            x: "messages in flight, at most",
            y: "time per message (ns)",
        }],
    },
    Curve {
        name: "threads",
        points: &[1, 2, 4, 8, 16, 32, 64],
        plots: &[Plot {
            name: "threads",
            title: "64 bytes: more threads publish through one client",
            x: "threads",
            y: "time per message (ns)",
        }],
    },
    Curve {
        name: "clients",
        points: &[1, 3, 10, 30, 100, 300, 1_000],
        plots: &[
            Plot {
                name: "clients-memory",
                title: "Idle clients in one process: memory",
                x: "further clients",
                y: "resident memory per client (KiB)",
            },
            Plot {
                name: "clients-connect",
                title: "Clients in one process: connecting one after the other",
                x: "further clients",
                y: "time to connect (us)",
            },
        ],
    },
    Curve {
        name: "filters",
        points: &[1, 10, 100, 1_000, 10_000, 100_000],
        plots: &[Plot {
            name: "filters",
            title: "1000 topics, one callback for each filter",
            x: "filters",
            y: "time per message (ns)",
        }],
    },
    Curve {
        name: "queued",
        points: &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
        plots: &[
            Plot {
                name: "queued-memory",
                title: "Messages of 64 bytes that wait for a connection: memory",
                x: "queued messages",
                y: "memory per message (bytes)",
            },
            Plot {
                name: "queued-time",
                title: "Messages of 64 bytes that wait for a connection: time",
                x: "queued messages",
                y: "time per message (ns)",
            },
        ],
    },
];

/// A measured point of one line of a plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) plot: String,
    pub(crate) line: String,
    pub(crate) x: u64,
    pub(crate) y: f64,
}
