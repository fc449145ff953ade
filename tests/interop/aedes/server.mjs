// Serves MQTT on 127.0.0.1 with the broker aedes. The only argument is JSON:
//   tcp             the port
//   user, password  who is let in
//   options         what aedes.createBroker takes
import net from 'node:net'
import { Aedes } from 'aedes'

const { tcp, user, password, options } = JSON.parse(process.argv[2])

const broker = await Aedes.createBroker(options)
broker.authenticate = (client, name, secret, done) => {
  const known = name === user && secret?.toString() === password
  done(known ? null : Object.assign(new Error('not authorized'), { returnCode: 4 }), known)
}

net.createServer(broker.handle).listen(tcp, '127.0.0.1', () => console.log('callmq: ready'))
