/** Every failure that the browser meets, with its code, its cause, the next step and what a button may do about it. */
import type { ErrorAction, SwarmError } from './api';
import type { Trans } from './words';

/** What kind of failure it is: what the panel shows instead of swarms, or beside them. */
export type FailureKind = 'answer' | 'missing' | 'login' | 'network' | 'version';

export class SwarmFailure extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly next: string,
    readonly code = '',
    readonly action: ErrorAction | null = null,
    readonly status = 0
  ) {
    super(message);
  }

  static of(error: SwarmError, status = 0): SwarmFailure {
    return new SwarmFailure('answer', error.message, error.next, error.code, error.action ?? null, status);
  }
}

export const COMMAND = 'pip install swarm-lab';

export function missing(trans: Trans): SwarmFailure {
  return new SwarmFailure(
    'missing',
    trans.__('The server part of swarm-lab is not running.'),
    trans.__('Install it and restart the server.')
  );
}

export function loggedOut(trans: Trans): SwarmFailure {
  return new SwarmFailure(
    'login',
    trans.__('Your login on this server has ended.'),
    trans.__('Log in again in another tab, then try again here. Swarms and trainings go on meanwhile.')
  );
}

export function noNetwork(trans: Trans): SwarmFailure {
  return new SwarmFailure(
    'network',
    trans.__('The Jupyter server does not answer.'),
    trans.__('This page tries again by itself. Swarms and trainings go on meanwhile.')
  );
}

export function otherVersion(trans: Trans): SwarmFailure {
  return new SwarmFailure(
    'version',
    trans.__('This page and the server part of swarm-lab are of different versions.'),
    trans.__('Restart the Jupyter server if swarm-lab was upgraded while it ran, then reload this page.')
  );
}

interface Body {
  message?: unknown;
  error?: Partial<SwarmError>;
}

/** What an answer with an error status means; `body` is its JSON, or null if it has none. */
export function failureOf(status: number, body: unknown, trans: Trans): SwarmFailure {
  const said = (body ?? {}) as Body;
  const error = said.error;
  if (error?.message !== undefined) {
    return SwarmFailure.of({ code: '', next: '', ...error, message: error.message }, status);
  }
  if (status === 401 || status === 403) {
    return loggedOut(trans);
  }
  if (status === 404) {
    return missing(trans);
  }
  if (status === 502 || status === 503 || status === 504) {
    return noNetwork(trans);
  }
  const text = typeof said.message === 'string' && said.message ? said.message : `HTTP ${status}`;
  return new SwarmFailure('answer', text, trans.__('Read the log of the Jupyter server.'), '', null, status);
}

/** Any thrown thing as a failure. */
export function asFailure(error: unknown, trans: Trans): SwarmFailure {
  if (error instanceof SwarmFailure) {
    return error;
  }
  return error instanceof TypeError ? noNetwork(trans) : SwarmFailure.of({ code: '', message: String(error), next: '' });
}
