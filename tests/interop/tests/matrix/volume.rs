//! Large messages, and many.

use callmq::client::{Client, Message, Messages};

use crate::site::{DEADLINE, Outcome, Site, deliver, ensure, next, same};
use crate::{ALL, EVERY_WAY, Row};

pub const CHECKS: &[Row] = &[
    ("5 MB", EVERY_WAY, large),
    ("1,000 of QoS 0", ALL, |site| many(site, 0)),
    ("1,000 of QoS 1", ALL, |site| many(site, 1)),
    ("1,000 of QoS 2", ALL, |site| many(site, 2)),
];

fn large(site: &Site) -> Outcome {
    let topic = site.topic("t");
    let (client, messages) = site.listener("a", &topic, 1)?;
    let payload: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    deliver(&client, Message::new(&topic, payload.clone()), 1)?;
    let message = next(&messages)?;
    ensure!(
        message.payload.as_bytes() == &payload[..],
        "{} bytes, not what was sent",
        message.payload.as_bytes().len()
    );
    Ok(())
}

/// None is lost, none comes twice, and they come in order.
fn many(site: &Site, qos: u8) -> Outcome {
    let topic = site.topic("t");
    let (_listener, messages): (Client, Messages) = site.listener("a", &topic, qos)?;
    let speaker = site.joined("b")?;
    let infos = (0..1_000)
        .map(|number| speaker.publish_with(&topic, number, qos, false))
        .collect::<Result<Vec<_>, _>>()?;
    for (number, info) in infos.iter().enumerate() {
        info.wait_for_publish(DEADLINE)
            .map_err(|error| crate::Failure::new(format!("message {number}: {error}")))?;
    }
    for number in 0..1_000 {
        let message = next(&messages)?;
        same("message", message.payload.to_str_lossy(), number.to_string())?;
    }
    ensure!(messages.try_recv()?.is_none(), "more than were sent");
    Ok(())
}
