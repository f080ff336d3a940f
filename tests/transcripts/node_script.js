// A session of Node's client from first to last call, one line per step; run against two servers the lines are equal.
//
// Every call is awaited before the next one, and events are gathered by their watchers and printed when the step that causes
// them is done: the order of lines depends on nobody's pace.

'use strict';

const zookeeper = require('node-zookeeper-client');

const hosts = process.argv[2];
const WAIT_MS_MAX = 20000;

const events = [];
let heard = () => {};

function watcher(label) {
  return (event) => {
    events.push(`  event ${label}: ${event.getName()} ${event.getPath()}`);
    heard();
  };
}

async function showEvents(count) {
  await within(`${count} events`, new Promise((resolve) => {
    heard = () => events.length >= count && resolve();
    heard();
  }));
  events.splice(0, count).sort().forEach((line) => console.log(line));
}

function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`gave up waiting for ${what}`)), WAIT_MS_MAX);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const number = (long) => long.readBigInt64BE(0).toString();

function shown(value) {
  if (value === undefined || value === null) return String(value);
  if (Buffer.isBuffer(value)) return value.length < 100 ? JSON.stringify(value.toString()) : `${value.length} bytes`;
  // Children come in no order.
  if (Array.isArray(value)) return `[${value.map(shown).sort().join(', ')}]`;
  if (value.czxid) return stat(value);
  if (value.id && value.permission !== undefined) return `${value.permission} ${value.id.scheme}:${value.id.id}`;
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

function stat(of) {
  const owner = number(of.ephemeralOwner) === '0' ? 'nobody' : 'someone';
  const times = number(of.ctime) > 0n && number(of.mtime) >= number(of.ctime);
  return `czxid ${number(of.czxid)} mzxid ${number(of.mzxid)} pzxid ${number(of.pzxid)} version ${of.version}`
    + ` cversion ${of.cversion} aversion ${of.aversion} owner ${owner} length ${of.dataLength}`
    + ` children ${of.numChildren} times ${times}`;
}

// All calls of the client, with all of what their callbacks are given.
function caller(client) {
  return async (name, ...words) => {
    const result = within(name, new Promise((resolve, reject) => {
      client[name](...words, (error, ...values) => (error ? reject(error) : resolve(values)));
    }));
    const said = words.filter((word) => typeof word !== 'function').map(shown).join(' ');
    try {
      console.log(`${name} ${said}: ${(await result).map(shown).join(' | ')}`);
    } catch (error) {
      console.log(`${name} ${said}: ${error.name} ${error.code} ${error.message}`);
    }
  };
}

async function connected(options) {
  const client = zookeeper.createClient(hosts, { sessionTimeout: 10000, retries: 0, ...options });
  const isConnected = new Promise((resolve) => client.once('connected', resolve));
  client.connect();
  await within('a connection', isConnected);
  console.log(`connected: ${client.getState()} timeout ${client.getSessionTimeout()} password ${client.getSessionPassword().length}`);
  return client;
}

async function closed(client) {
  const isGone = new Promise((resolve) => client.once('disconnected', resolve));
  client.close();
  await within('the end', isGone);
}

async function nodes(call) {
  const { PERSISTENT, EPHEMERAL, PERSISTENT_SEQUENTIAL, EPHEMERAL_SEQUENTIAL } = zookeeper.CreateMode;
  const open = zookeeper.ACL.OPEN_ACL_UNSAFE;
  await call('create', '/n', Buffer.from('first'), open, PERSISTENT);
  await call('create', '/n', Buffer.from('again'), open, PERSISTENT);
  await call('create', '/none/below', null, open, PERSISTENT);
  await call('create', '/n/ephemeral', Buffer.from('e'), open, EPHEMERAL);
  await call('create', '/n/ephemeral/below', null, open, PERSISTENT);
  await call('create', '/n/s-', Buffer.from('1'), open, PERSISTENT_SEQUENTIAL);
  await call('create', '/n/s-', Buffer.from('2'), open, EPHEMERAL_SEQUENTIAL);
  await call('create', '/n/empty', Buffer.alloc(0), open, PERSISTENT);
  await call('create', '/n/null', null, open, PERSISTENT);
  await call('create', '/n/ümlaut-\u{1f9ed}', Buffer.from('unicode'), open, PERSISTENT);
  await call('create', '/n/large', Buffer.alloc(1000000, 'x'), open, PERSISTENT);
  for (const path of ['/n', '/n/ephemeral', '/n/empty', '/n/null', '/n/ümlaut-\u{1f9ed}', '/n/large', '/none']) {
    await call('getData', path);
    await call('exists', path);
  }
  await call('getChildren', '/n');
  await call('getChildren', '/none');
  await call('setData', '/n', Buffer.from('second'), -1);
  await call('setData', '/n', Buffer.from('third'), 1);
  await call('setData', '/n', Buffer.from('fourth'), 1);
  await call('setData', '/none', Buffer.from('x'), -1);
  await call('remove', '/n', -1);
  await call('remove', '/n/empty', 7);
  await call('remove', '/n/empty', 0);
  await call('remove', '/n/empty', -1);
  await call('mkdirp', '/deep/er/and/deeper');
  await call('listSubTreeBFS', '/deep');
  await call('removeRecursive', '/deep', -1);
  await call('exists', '/deep');
}

async function watches(call) {
  const open = zookeeper.ACL.OPEN_ACL_UNSAFE;
  await call('create', '/w', null, open, 0);
  await call('exists', '/w/later', watcher('exists'));
  await call('getChildren', '/w', watcher('children'));
  await call('create', '/w/later', Buffer.from('1'), open, 0);
  await showEvents(2);
  await call('getData', '/w/later', watcher('data'));
  await call('setData', '/w/later', Buffer.from('2'), -1);
  await showEvents(1);
  await call('getData', '/w/later', watcher('data'));
  await call('getChildren', '/w', watcher('children'));
  await call('remove', '/w/later', -1);
  await showEvents(2);
}

async function rights(client, call) {
  const { ACL, Id, Permission } = zookeeper;
  client.addAuthInfo('digest', Buffer.from('user:secret'));
  const mine = [new ACL(Permission.ALL, new Id('auth', ''))];
  await call('create', '/mine', Buffer.from('x'), mine, 0);
  await call('getACL', '/mine');
  await call('getACL', '/none');
  await call('setACL', '/mine', [new ACL(Permission.READ | Permission.ADMIN, new Id('world', 'anyone')), ...mine], 0);
  await call('setACL', '/mine', mine, 0);
  await call('getACL', '/mine');
  const other = await connected();
  const otherCall = caller(other);
  await otherCall('getData', '/mine');
  await otherCall('setData', '/mine', Buffer.from('y'), -1);
  await otherCall('create', '/mine/below', null, zookeeper.ACL.OPEN_ACL_UNSAFE, 0);
  await otherCall('setACL', '/mine', [new ACL(Permission.READ, new Id('nothing', 'known'))], -1);
  await closed(other);
  await call('setData', '/mine', Buffer.from('y'), -1);
}

async function transactions(client) {
  const commit = async (label, transaction) => {
    await new Promise((resolve) => {
      transaction.commit((error, results) => {
        console.log(`commit ${label}: ${error ? `${error.name} ${error.code} ` : ''}${JSON.stringify(results, replacer)}`);
        resolve();
      });
    });
  };
  const replacer = (key, value) => (key === 'stat' && value ? Object.keys(value).length : value);
  await commit('all', client.transaction().create('/t').create('/t/a', Buffer.from('a')).setData('/t', Buffer.from('t'), 0)
    .check('/t', 1).remove('/t/a', -1));
  await commit('none', client.transaction().create('/t/b').check('/t', 9).create('/t/c'));
  await commit('nothing', client.transaction());
  await caller(client)('getChildren', '/t');
}

async function returning(first) {
  const open = zookeeper.ACL.OPEN_ACL_UNSAFE;
  const call = caller(first);
  await call('create', '/owned', Buffer.from('o'), open, zookeeper.CreateMode.EPHEMERAL);
  const before = first.getSessionId().toString('hex');
  const isBack = new Promise((resolve) => first.once('connected', resolve));
  // The connection breaks; the session does not.
  first.connectionManager.socket.destroy();
  await within('the connection again', isBack);
  console.log(`back: same session ${before === first.getSessionId().toString('hex')}`);
  await call('exists', '/owned');
  const observer = await connected();
  const observerCall = caller(observer);
  await observerCall('exists', '/owned', watcher('owned'));
  await closed(first);
  await showEvents(1);
  await observerCall('exists', '/owned');
  await closed(observer);
}

async function main() {
  const client = await connected();
  const call = caller(client);
  await nodes(call);
  await watches(call);
  await rights(client, call);
  await transactions(client);
  await returning(client);
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
