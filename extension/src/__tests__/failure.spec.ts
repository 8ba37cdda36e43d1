import { asFailure, failureOf } from '../failure';
import { english } from '../words';

it('keeps code, next step and action of an answer', () => {
  const action = { label: 'Use port 30313', method: 'POST', path: 'swarms' };
  const error = { code: 'SWL-107', message: 'taken', next: 'free it', action };
  const failure = failureOf(409, { message: 'taken', error }, english);
  expect(failure).toMatchObject({ kind: 'answer', code: 'SWL-107', next: 'free it', action, status: 409 });
});

it.each([
  [401, 'login'],
  [403, 'login'],
  [404, 'missing'],
  [503, 'network'],
  [500, 'answer']
])('%s without words of ours means %s', (status, kind) => {
  expect(failureOf(status, null, english).kind).toBe(kind);
});

it('a swarm that is not there is no missing server part', () => {
  const failure = failureOf(404, { error: { code: 'SWL-103', message: 'no swarm', next: '' } }, english);
  expect(failure.kind).toBe('answer');
});

it('takes whatever is thrown', () => {
  expect(asFailure(new TypeError('fetch failed'), english).kind).toBe('network');
  expect(asFailure('odd', english).message).toBe('odd');
});
