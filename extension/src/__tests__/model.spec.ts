import type { Operation } from '../api';
import { SwarmFailure } from '../failure';
import { STALE_MS, SwarmModel } from '../model';
import { aSwarm, fact, FakePage, FakeTransport } from './fakes';

const flush = () => jest.advanceTimersByTimeAsync(0);

function operation(fields: Partial<Operation> = {}): Operation {
  const made = { id: 'o1', verb: 'down', swarm: 'demo', state: 'running', started: 0, ended: null };
  return { ...made, said: [], answer: null, error: null, ...fields } as Operation;
}

async function connected() {
  const server = new FakeTransport();
  const page = new FakePage();
  const model = new SwarmModel(server, page);
  const draws: number[] = [];
  model.changed.connect(() => draws.push(Date.now()));
  model.start();
  await flush();
  server.socket.opened();
  server.say({ type: 'hello', boot: 'a', seqs: { demo: 1 } });
  const snapshot = { boot: 'a', time: 0, swarms: [aSwarm()], operations: [], hosts: [] };
  server.say({ type: 'snapshot', snapshot });
  return { server, page, model, draws };
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

describe('drawing', () => {
  it('is done four times a second at most, with the last state', async () => {
    const { server, model, draws } = await connected();
    await jest.advanceTimersByTimeAsync(1000);
    draws.length = 0;
    for (let seq = 2; seq < 102; seq++) {
      server.say({ type: 'status', swarm: aSwarm({ seq }) });
      await jest.advanceTimersByTimeAsync(10);
    }
    await jest.advanceTimersByTimeAsync(300);
    expect(draws.length).toBeLessThanOrEqual(6);
    expect(draws.length).toBeGreaterThanOrEqual(4);
    expect(model.swarm('demo')?.seq).toBe(101);
  });

  it('is not done while the page is hidden, and once when it is shown', async () => {
    const { server, page, draws } = await connected();
    await jest.advanceTimersByTimeAsync(1000);
    draws.length = 0;
    page.isHidden = true;
    server.say({ type: 'status', swarm: aSwarm({ seq: 2 }) });
    server.say({ type: 'status', swarm: aSwarm({ seq: 3 }) });
    await jest.advanceTimersByTimeAsync(5000);
    expect(draws).toHaveLength(0);
    page.show();
    expect(draws).toHaveLength(1);
  });
});

describe('the connection', () => {
  it('is stale after three missed updates, and live again with the next', async () => {
    const { server, model } = await connected();
    await jest.advanceTimersByTimeAsync(STALE_MS + 1);
    expect(model.link).toBe('stale');
    server.say({ type: 'hosts', hosts: [] });
    expect(model.link).toBe('live');
  });

  it('comes back after a loss, with what was watched and what was missed', async () => {
    const { server, model } = await connected();
    const seen: number[] = [];
    server.answers['GET facts?swarm=demo&since=1'] = { facts: [], next: 1 };
    model.watch('demo', 1, facts => seen.push(...facts.map(one => one.seq)));
    await flush();
    server.say({ type: 'facts', swarm: 'demo', facts: [fact(2)] });
    server.socket.closed();
    expect(model.link).toBe('lost');
    expect(model.failure?.kind).toBe('network');
    expect(model.swarms).toHaveLength(1);
    server.answers['GET facts?swarm=demo&since=2'] = { facts: [fact(3), fact(4)], next: 4 };
    server.answers['GET facts?swarm=demo&since=4'] = { facts: [], next: 4 };
    await jest.advanceTimersByTimeAsync(1000);
    expect(server.sockets).toHaveLength(2);
    server.socket.opened();
    await flush();
    expect(server.sent.filter(message => message.type === 'watch')).toHaveLength(2);
    expect(seen).toEqual([2, 3, 4]);
  });

  it('waits longer with each failure', async () => {
    const { server } = await connected();
    server.answers['GET about'] = new SwarmFailure('network', 'gone', '');
    server.socket.closed();
    await jest.advanceTimersByTimeAsync(60000);
    const asked = server.asked.filter(call => call === 'GET about').length;
    expect(asked).toBeGreaterThan(5);
    expect(asked).toBeLessThan(12);
  });

  it('says when the server part is missing, of another version, or wants a login', async () => {
    const server = new FakeTransport();
    const model = new SwarmModel(server, new FakePage());
    server.answers['GET about'] = new SwarmFailure('missing', 'not there', 'install');
    model.start();
    await flush();
    expect(model.failure?.kind).toBe('missing');
    server.answers['GET about'] = { version: '9', api: 2, boot: 'b', frameworks: [] };
    await jest.advanceTimersByTimeAsync(2000);
    expect(model.failure?.kind).toBe('version');
    expect(server.sockets).toHaveLength(0);
  });

  it('gives up a socket that is silent', async () => {
    const { server, model } = await connected();
    await jest.advanceTimersByTimeAsync(21000);
    expect(model.link).toBe('lost');
    expect(server.sockets.length).toBeGreaterThan(1);
  });
});

describe('facts', () => {
  it('are asked for where there is a gap, and come once, in order', async () => {
    const { server, model } = await connected();
    const seen: number[] = [];
    server.answers['GET facts?swarm=demo&since=5'] = { facts: [], next: 5 };
    model.watch('demo', 5, facts => seen.push(...facts.map(one => one.seq)));
    await flush();
    server.say({ type: 'facts', swarm: 'demo', facts: [fact(5), fact(6)] });
    server.answers['GET facts?swarm=demo&since=6'] = { facts: [fact(7), fact(8), fact(9)], next: 9 };
    server.answers['GET facts?swarm=demo&since=9'] = { facts: [], next: 9 };
    server.say({ type: 'facts', swarm: 'demo', facts: [fact(9)] });
    await flush();
    server.say({ type: 'facts', swarm: 'demo', facts: [fact(10)] });
    expect(seen).toEqual([6, 7, 8, 9, 10]);
  });

  it('are not watched any more when nobody listens', async () => {
    const { server, model } = await connected();
    server.answers['GET facts?swarm=demo&since=1'] = { facts: [], next: 1 };
    const first = model.watch('demo', 1, () => undefined);
    const second = model.watch('demo', 1, () => undefined);
    first.dispose();
    expect(server.sent.map(message => message.type)).toEqual(['watch']);
    second.dispose();
    expect(server.sent.map(message => message.type)).toEqual(['watch', 'unwatch']);
  });
});

describe('swarms', () => {
  it('that are gone are told so, and the selection moves on', async () => {
    const { server, model } = await connected();
    const told: (string | null)[] = [];
    model.swarmChanged.connect((_, change) => told.push(change.after?.swarm ?? null));
    server.say({ type: 'status', swarm: aSwarm({ swarm: 'ward' }) });
    model.selected = 'demo';
    server.say({ type: 'gone', swarm: 'demo' });
    expect(told).toEqual(['ward', null]);
    expect(model.selected).toBe('ward');
  });

  it('are not set back by an answer that was overtaken', async () => {
    const { server, model } = await connected();
    server.say({ type: 'status', swarm: aSwarm({ seq: 9 }) });
    const snapshot = { boot: 'a', time: 0, swarms: [aSwarm({ seq: 3 })], operations: [], hosts: [] };
    server.answers['GET snapshot'] = snapshot;
    await model.refresh();
    expect(model.swarm('demo')?.seq).toBe(9);
  });
});

describe('an operation', () => {
  it('ends with its answer, or with its failure and what a button may do', async () => {
    const { server, model } = await connected();
    server.answers['DELETE swarms/demo'] = operation();
    const done = model.run('DELETE', 'swarms/demo');
    await flush();
    server.say({ type: 'operation', operation: operation({ state: 'done', answer: 7 }) });
    expect((await done).answer).toBe(7);
    server.answers['POST swarms'] = operation({ id: 'o2' });
    const failed = model.run('POST', 'swarms');
    await flush();
    const action = { label: 'Start it', method: 'POST', path: 'swarms' };
    const error = { code: 'SWL-105', message: 'runs', next: 'use it', action };
    server.say({ type: 'operation', operation: operation({ id: 'o2', state: 'failed', error }) });
    await expect(failed).rejects.toMatchObject({ code: 'SWL-105', action });
  });

  it('is asked about while the socket is gone, and has an end after a restart of the server', async () => {
    const { server, model } = await connected();
    server.answers['DELETE swarms/demo'] = operation();
    const ended = expect(model.run('DELETE', 'swarms/demo')).rejects.toMatchObject({ status: 0 });
    await flush();
    server.socket.closed();
    server.answers['GET operations/o1'] = new SwarmFailure('answer', 'none', '', 'SWL-1', null, 404);
    await jest.advanceTimersByTimeAsync(5000);
    await ended;
  });
});
