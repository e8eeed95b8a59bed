// An SMSC for the tests: npm's `smpp` server, which takes messages, sends receipts, and misbehaves as it is told.
//
// Standard input's first line is its orders (JSON, see Orders in smsc.py); it ends when its input ends.
// It says `ready PORT`, and appends every PDU it got to the orders' journal, before it answers: whatever kills it,
// the journal holds what was taken. Started again on the same journal it goes on with the receipts it owes.
'use strict';

const fs = require('fs');
const readline = require('readline');
const smpp = require('smpp');

// The octets of a text, before the library decodes them.
const filter = smpp.PDU.prototype._filter;
smpp.PDU.prototype._filter = function (direction) {
  if (direction === 'decode' && Buffer.isBuffer(this.short_message)) {
    this.octets = Buffer.from(this.short_message).toString('hex');
  }
  return filter.call(this, direction);
};

function start(orders) {
  const owed = new Map(); // id -> phone, of the receipts
  const kept = fs.existsSync(orders.journal) ? fs.readFileSync(orders.journal, 'utf8').split('\n') : [];
  for (const line of kept.filter(Boolean).map(JSON.parse)) {
    if (line.taken) owed.set(line.taken, line.to);
    if (line.receipted) owed.delete(line.receipted);
  }
  const journal = fs.openSync(orders.journal, 'a');
  const write = (line) => fs.writeSync(journal, JSON.stringify(line) + '\n');
  const sessions = new Set();
  const every = (n, count) => n > 0 && count % n === 0;
  let asked = 0;
  let taken = 0;
  let unanswered = 0;
  let since = 0; // of the tenth of a second that is counted
  let lately = 0;

  function isTooFast() {
    if (!orders.most_per_second) return false;
    if (Date.now() - since >= 100) [since, lately] = [Date.now(), 0];
    lately += 1;
    return lately > orders.most_per_second / 10;
  }

  function receipt(session, id) {
    if (!owed.has(id) || !orders.receipts) return;
    const plain = id.endsWith('1'); // some SMSCs say it in the text alone, with seconds and letters
    const receiver = session.receives ? session : [...sessions].find((other) => other.receives);
    if (!receiver) return;
    const said = `id:${id} sub:001 dlvrd:001 submit date:2106190800${plain ? '59' : ''} ` +
      `done date:2106190801${plain ? '03' : ''} stat:DELIVRD err:${plain ? '00A' : '000'} text:`;
    receiver[orders.receipts_by]({
      source_addr: owed.get(id),
      destination_addr: '10690000',
      esm_class: 4,
      ...(orders.receipts_by === 'data_sm' ? { message_payload: said } : { short_message: said }),
      ...(plain ? {} : { receipted_message_id: id, message_state: 2 }),
    }, (answer) => {
      if (answer.command_status === 0 && owed.delete(id)) write({ receipted: id });
    });
  }

  function submitted(session, pdu) {
    asked += 1;
    const line = {
      to: pdu.destination_addr, ton: pdu.dest_addr_ton, npi: pdu.dest_addr_npi, from: pdu.source_addr,
      esm_class: pdu.esm_class, data_coding: pdu.data_coding, registered: pdu.registered_delivery,
      octets: pdu.octets, text: pdu.short_message.message,
      udh: (pdu.short_message.udh || []).map((element) => element.toString('hex')),
    };
    unanswered += 1;
    const answer = (body) => {
      unanswered -= 1;
      session.send(pdu.response(body));
    };
    const status = orders.statuses[pdu.destination_addr] ||
      (isTooFast() || every(orders.throttle_every, asked)
        ? smpp[asked % 2 ? 'ESME_RTHROTTLED' : 'ESME_RMSGQFUL'] : 0);
    if (status) {
      write({ ...line, status, unanswered });
      answer({ command_status: status });
      return;
    }
    taken += 1;
    const id = `${process.pid}-${taken}`;
    write({ ...line, taken: id, unanswered });
    owed.set(id, pdu.destination_addr);
    if (taken === orders.kill_at) process.kill(process.pid, 'SIGKILL');
    if (orders.cut_at.includes(taken)) {
      unanswered = 0;
      sessions.forEach((other) => other.destroy());
      return;
    }
    if (every(orders.swallow_every, taken)) {
      unanswered -= 1;
      return;
    }
    const late = every(orders.late_every, taken);
    setTimeout(() => {
      answer({ message_id: id });
      if (every(orders.twice_every, taken)) session.send(pdu.response({ message_id: id }));
      receipt(session, id);
    }, late ? orders.late_ms : 0);
  }

  const tls = orders.tls ? { key: fs.readFileSync(orders.tls[0]), cert: fs.readFileSync(orders.tls[1]) } : {};
  const server = smpp.createServer(tls, (session) => {
    session.on('error', () => session.destroy());
    session.on('close', () => sessions.delete(session));
    const bind = (role) => session.on(`bind_${role}`, (pdu) => {
      write({ bound: pdu.system_id, version: pdu.interface_version, role });
      const refusal = orders.refuse_binds[role] ||
        (pdu.system_id !== 'jiaohao' || pdu.password !== orders.password ? smpp.ESME_RINVPASWD : 0);
      if (refusal) {
        session.send(pdu.response({ command_status: refusal }));
        return;
      }
      session.send(pdu.response({ system_id: 'smsc' }));
      session.receives = role !== 'transmitter';
      sessions.add(session);
      [...owed.keys()].forEach((id) => receipt(session, id));
    });
    ['transceiver', 'transmitter', 'receiver'].forEach(bind);
    session.on('submit_sm', (pdu) => submitted(session, pdu));
    session.on('enquire_link', (pdu) => {
      write({ enquired: true });
      if (!orders.deaf) session.send(pdu.response());
    });
    session.on('unbind', (pdu) => {
      write({ unbound: true });
      session.send(pdu.response());
      session.close();
    });
  });
  server.listen(orders.port, '127.0.0.1', () => console.log(`ready ${server.address().port}`));
}

const input = readline.createInterface({ input: process.stdin });
input.once('line', (line) => start(JSON.parse(line)));
input.on('close', () => process.exit(0));
