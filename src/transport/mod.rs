//! Sockets: connecting with a deadline, reading and writing without blocking. Knows nothing of MQTT.
