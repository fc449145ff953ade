// The right column of the README's table, and what its section about MQTT 5.0 names, line by line: it compiles.

use callmq::client as mqtt;
use callmq::{Error, Properties, Result, publish, subscribe};
use std::time::Duration;

fn on_connect(_: &mqtt::Client, flags: mqtt::ConnectFlags, rc: mqtt::ReasonCode, _: &mqtt::Properties) {
    let _ = (rc == 0, format!("{rc}"), rc.value(), flags.session_present);
}

fn main() -> Result<()> {
    let client = mqtt::Client::new("python1");
    let _ = mqtt::Client::default();
    let _ = mqtt::Client::builder("x").clean_session(false).protocol(mqtt::MQTTv5).build();
    let p = Properties::new();

    client.on_connect(on_connect);
    client.callback_clear(mqtt::Callback::OnMessage);
    client.on_connect_fail(|_client, _error| {});
    client.on_pre_connect(|client| client.username_pw_set("u", "p"));
    client.on_disconnect(|_client, flags, _rc, _properties| println!("{}", flags.reason));
    client.on_publish(|_client, _mid, _rc, _properties| {});
    client.on_subscribe(|_client, _mid, _codes, _properties| {});
    client.on_unsubscribe(|_client, _mid, _codes, _properties| {});
    client.on_log(|_client, level, buf| println!("{level} {buf}"));
    client.on_socket_open(|_client, _socket| {});
    client.on_socket_close(|_client, _socket| {});
    client.on_socket_register_write(|_client, _socket| {});
    client.on_socket_unregister_write(|_client, _socket| {});
    client.reconnect_if(|_client, _reason, attempts| attempts < 3);
    let mut count = 0;
    client.on_message(move |_client, msg| {
        count += 1;
        println!("{} {} {} {} {} {}", msg.topic, msg.payload, msg.qos, msg.retain, msg.mid, msg.dup);
        let _ = (&msg.properties, msg.timestamp, msg.payload.to_str_lossy(), msg.payload.len());
        msg.payload.decode()?;
        Ok(())
    });

    client.connect("h")?;
    client.connect(("h", 1883))?;
    client.connect(("h", 1883, 60))?;
    client.connect("h:1883")?;
    client.connect("mqtt://user:password@h")?;
    client.connect(["h", "mqtt://i:1884"])?;
    client.connect(std::net::Ipv4Addr::LOCALHOST)?;
    client.connect(mqtt::ConnectOptions::new("h").bind_address("10.0.0.1").clean_start(false).properties(p.clone()))?;
    client.host_set("h")?;
    client.port_set(1884)?;
    client.keepalive_set(30)?;
    client.connect_async("h")?;
    client.reconnect()?;
    client.disconnect()?;
    client.disconnect_with(mqtt::ReasonCode::DISCONNECT_WITH_WILL_MESSAGE, p.clone())?;
    let _ = client.is_connected();
    client.wait_for_connect(5)?;
    client.connect_and_wait("h", 5)?;

    client.loop_start()?;
    client.loop_stop()?;
    client.loop_forever()?;
    client.loop_forever_with(true)?;
    client.r#loop()?;
    client.loop_once(0.1)?;
    client.loop_read()?;
    client.loop_write()?;
    client.loop_misc()?;
    let _ = (client.want_write(), client.socket());

    client.publish("t", "on")?;
    client.publish("t", ())?;
    client.publish("t", 21.5)?;
    client.publish_with("t", "on", 1, true)?;
    client.publish_message(mqtt::Message::new("t", "on").properties(p.clone()))?;
    let info = client.publish("t", b"on")?;
    let _ = info.mid;
    info.wait_for_publish(2)?;
    info.wait_for_publish(Duration::from_secs(2))?;
    info.wait_for_publish(None)?;
    let _ = (info.is_published(), info.delivery(), info.finished());
    client.flush(2)?;

    client.subscribe("t")?;
    client.subscribe(("t", 1))?;
    client.subscribe([("a", 0), ("b", 2)])?;
    client.subscribe(("t", mqtt::SubscribeOptions { no_local: true, ..mqtt::QoS::AtLeastOnce.into() }))?.wait(2)?;
    client.subscribe_with_properties("t", p.clone())?;
    client.unsubscribe_with_properties("t", p.clone())?;
    let msg = client.request("t", "what?", 2)?;
    client.request_with("t", "what?", 2, |_client, response| response.map(drop))?;
    client.reply(&msg, "that")?;
    client.unsubscribe("t")?;
    client.unsubscribe(["a", "b"])?;
    client.message_callback_add("a/+", |_client, _msg| {})?;
    client.message_callback_remove("a/+");
    client.subscribe_with("a/+", |_client, _msg| {})?;

    client.username_pw_set("u", "p");
    client.username_pw_set("u", None);
    client.will_set("t", "gone", 1, true)?;
    client.will_clear();
    client.reconnect_delay_set(1, 120)?;
    client.reconnect_jitter_set(0.0)?;
    client.max_inflight_messages_set(20)?;
    client.max_queued_messages_set(0)?;
    client.manual_ack_set(true);
    client.ack(&mqtt::Message::new("t", "on"))?;
    client.user_data_set(5);
    let _ = client.user_data_get::<i32>();
    client.enable_logger();
    client.disable_logger();
    client.reinitialise("x", true)?;
    let _ = client.drop_out_messages();
    client.enable_bridge_mode();
    client.suppress_exceptions_set(true);
    client.resubscribe_set(mqtt::Resubscribe::Always);
    client.on_session_lost_set(mqtt::OnSessionLost::Discard);
    client.wait_for_connack_set(true);

    let queue = mqtt::OfflineQueue { keep_qos0: true, ..mqtt::OfflineQueue::default() };
    let client = mqtt::Client::builder("meter").protocol(mqtt::MQTTv5).clean_session(false).session_expiry(3600);
    let client = client.topic_alias_limit(16).topic_alias_maximum(16).lower_qos(true).fallback(true);
    let client = client.receive_maximum(10).max_packet_size(65_536).output_limit(4096).offline_queue(queue).build();
    client.ack_with(&msg, mqtt::ReasonCode::QUOTA_EXCEEDED, p.clone())?;
    let _ = (client.connection_info(), client.protocol());
    client.on_auth("method", |_client, _reason, _data| mqtt::AuthStep::Done)?;
    client.reauthenticate()?.wait(5)?;
    client.will_set_message(mqtt::Message::new("t", "gone").properties(p.clone()))?;
    client.on_redirect(|_client, redirect| redirect.servers.len() == 1);
    client.reconnect_if(|_, reason, _| !reason.is_permanent());
    client.max_requests_set(100);

    publish::single("t", "on", "h")?;
    publish::multiple([("t", "1"), ("t", "2")], "h")?;
    publish::Options::new().qos(1).auth("u", "p").single("t", "on", "h")?;
    let _ = subscribe::simple("t", "h")?;
    let _ = subscribe::simple_n("t", 2, "h")?;
    subscribe::callback(|_client, _msg| {}, "t", "h")?;
    let _ = subscribe::Options::new();

    let _ = (mqtt::error_string(5), mqtt::connack_string(5), mqtt::topic_matches_sub("a/+", "a/b"));
    let _ = (mqtt::MQTT_ERR_NO_CONN, mqtt::CONNACK_REFUSED_NOT_AUTHORIZED, mqtt::MQTT_LOG_DEBUG);
    let _ = Error::NotConnected.code();
    let _ = (mqtt::MQTTMatcher::<u8>::new(), mqtt::VERSION);
    Ok(())
}
