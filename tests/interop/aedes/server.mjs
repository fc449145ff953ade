// Serves MQTT on 127.0.0.1 with the broker aedes. The only argument is JSON:
//   tcp, tls, ws, wss ports; those that are not there are not served
//   unix              the path of a socket
//   certificate, key  the files that tls and wss need
//   user, password    who is let in
//   redis             the port of a redis that keeps the sessions, and that nodes share (default: this process keeps them)
//   options           what aedes.createBroker takes
import fs from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import { Aedes } from 'aedes'
import { WebSocketServer, createWebSocketStream } from 'ws'

const given = JSON.parse(process.argv[2])
const options = given.options ?? {}
if (given.redis) {
  const { default: persistence } = await import('aedes-persistence-redis')
  const { default: emitter } = await import('mqemitter-redis')
  // By default a client that comes back gets no more than 1,000 of the messages that wait for it.
  options.persistence = persistence({ host: '127.0.0.1', port: given.redis, maxSessionDelivery: 1_000_000 })
  options.mq = emitter({ host: '127.0.0.1', port: given.redis })
}

const broker = await Aedes.createBroker(options)
broker.authenticate = (client, name, secret, done) => {
  const known = name === given.user && secret?.toString() === given.password
  done(known ? null : Object.assign(new Error('not authorized'), { returnCode: 4 }), known)
}

for (const event of ['clientError', 'connectionError']) {
  broker.on(event, (client, error) => console.log(`${event}: ${client.id}: ${error.message}`))
}
broker.on('error', (error) => console.log(`error: ${error.message}`))

const listening = []
const listen = (server, ...where) => {
  listening.push(new Promise((resolve, reject) => server.once('error', reject).listen(...where, resolve)))
}
const upgrading = (server) => {
  const handleProtocols = (offered) => offered.has('mqtt') && 'mqtt'
  const websocket = new WebSocketServer({ server, handleProtocols })
  websocket.on('connection', (socket, request) => broker.handle(createWebSocketStream(socket), request))
  return server
}
const identity = given.key && { key: fs.readFileSync(given.key), cert: fs.readFileSync(given.certificate) }
if (given.tcp) listen(net.createServer(broker.handle), given.tcp, '127.0.0.1')
if (given.tls) listen(tls.createServer(identity, broker.handle), given.tls, '127.0.0.1')
if (given.unix) listen(net.createServer(broker.handle), given.unix)
if (given.ws) listen(upgrading(http.createServer()), given.ws, '127.0.0.1')
if (given.wss) listen(upgrading(https.createServer(identity)), given.wss, '127.0.0.1')
await Promise.all(listening)
console.log('callmq: ready')
