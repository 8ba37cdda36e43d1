/** What stands between the bar and the sections: first contact, loading, and what is wrong. */
import { Clipboard } from '@jupyterlab/apputils';
import React, { useState } from 'react';
import { CommandIDs } from '../commands';
import { COMMAND, type SwarmFailure } from '../failure';
import { moment } from '../format';
import { Button, FailureFacts, Icon } from './parts';
import { usePanel } from './context';
import { newestFailure } from './failures';

export function Notice(): JSX.Element {
  const { model } = usePanel();
  const shown = model.swarms.length > 0;
  if (model.failure !== null && (!shown || model.failure.kind !== 'network')) {
    return <Broken failure={model.failure} />;
  }
  if (model.link === 'loading') {
    return <Loading />;
  }
  return (
    <>
      {model.link !== 'live' && <Stale />}
      <Unreadable />
      <Failed />
      {!shown && <Empty />}
    </>
  );
}

/** Not live for a while: what is shown is of then. */
function Stale(): JSX.Element {
  const { model, trans } = usePanel();
  const heard = moment(model.heard, Date.now() / 1000, span => trans.__('%1 ago', span));
  const text =
    model.link === 'stale' ? trans.__('last heard %1', heard) : trans.__('no connection, trying again; as of %1', heard);
  return (
    <div className="swl-Stale">
      <span className="swl-Chip">
        {model.link === 'stale' ? <Icon name="clock" tone="warn" /> : <Icon name="lost" tone="bad" />}
        {text}
      </span>
    </div>
  );
}

function Loading(): JSX.Element {
  const { trans } = usePanel();
  return (
    <div className="swl-Loading" aria-label={trans.__('Loading')} aria-busy>
      <span className="swl-Skeleton" />
      <span className="swl-Skeleton" />
      <span className="swl-Skeleton" />
    </div>
  );
}

/** Nothing can be shown or done: the server part is missing, of another version, not reached, or wants a login. */
function Broken({ failure }: { failure: SwarmFailure }): JSX.Element {
  const { commands, trans } = usePanel();
  const again = (): void => void commands.execute(CommandIDs.refresh);
  return (
    <div className="swl-Message is-bad swl-Panel-message" role="alert">
      <Icon name="failed" />
      <h4>{failure.message}</h4>
      <p>
        {failure.next} {failure.kind === 'missing' && <code className="swl-Code">{COMMAND}</code>}
      </p>
      <div className="acts">
        {failure.kind === 'missing' && (
          <Button className="is-main" onClick={() => Clipboard.copyToSystem(COMMAND)}>
            {trans.__('Copy command')}
          </Button>
        )}
        {failure.kind === 'version' || failure.kind === 'login' ? (
          <Button className="is-main" onClick={() => location.reload()}>
            {trans.__('Reload this page')}
          </Button>
        ) : null}
        <Button onClick={again}>{trans.__('Try again')}</Button>
      </div>
    </div>
  );
}

/** The chosen swarm's folder lacks something. */
function Unreadable(): JSX.Element | null {
  const { model, commands, trans } = usePanel();
  const swarm = model.selected === null ? null : model.swarm(model.selected);
  if (!swarm?.error) {
    return null;
  }
  const { code, message, next } = swarm.error;
  return (
    <div className="swl-Message is-bad swl-Panel-message" role="alert">
      <Icon name="failed" />
      <h4>
        {trans.__('%1 cannot be read', swarm.swarm)} <span className="swl-CodeTag">{code}</span>
      </h4>
      <dl>
        <dt>{trans.__('Cause')}</dt>
        <dd>{message}</dd>
        <dt>{trans.__('Next')}</dt>
        <dd>{next}</dd>
      </dl>
      <div className="acts">
        <Button onClick={() => void commands.execute(CommandIDs.purgeSwarm, { swarm: swarm.swarm })}>
          {trans.__('Remove swarm…')}
        </Button>
      </div>
    </div>
  );
}

/** What failed last on the chosen swarm, until it is put away or goes well. */
function Failed(): JSX.Element | null {
  const { model, work, trans } = usePanel();
  const [away, setAway] = useState<ReadonlySet<string>>(new Set());
  const found = newestFailure(model.operations, model.selected, away);
  if (found === null) {
    return null;
  }
  const { failure, headline, id } = found;
  return (
    <div className="swl-Message is-bad swl-Panel-message" role="alert">
      <Icon name="failed" />
      <h4>
        {headline(trans)} {failure.code && <span className="swl-CodeTag">{failure.code}</span>}
      </h4>
      <FailureFacts failure={failure} trans={trans} />
      <div className="acts">
        {failure.action !== null && (
          <Button className="is-main" onClick={() => void work.act(failure)}>
            {failure.action.label}
          </Button>
        )}
        <Button onClick={() => setAway(new Set([...away, id]))}>{trans.__('Put away')}</Button>
      </div>
    </div>
  );
}

/** Three lines on what a swarm is, and one button that brings one up. */
function Empty(): JSX.Element {
  const { model, commands, trans } = usePanel();
  const starting = model.operations.find(one => one.state === 'running' && ['demo', 'up'].includes(one.verb));
  return (
    <div className="swl-Empty">
      <Picture />
      <h2>{trans.__('No swarm yet')}</h2>
      <p>
        {trans.__('Several sites train one model together.')}
        <br />
        {trans.__('Their data stays where it is.')}
        <br />
        {trans.__('Only model parameters travel, encrypted.')}
      </p>
      <Button
        icon="play"
        className="is-main is-big"
        disabled={starting !== undefined}
        onClick={() => void commands.execute(CommandIDs.startDemo)}
      >
        {trans.__('Start a demo swarm')}
      </Button>
      <p className="swl-Empty-note">
        {starting
          ? (starting.said[starting.said.length - 1] ?? trans.__('Starting'))
          : trans.__('4 learning nodes on this machine, about 10 s')}
      </p>
      <div className="more">
        <button type="button" className="swl-Link" onClick={() => void commands.execute(CommandIDs.openQuickstart)}>
          <Icon name="book" />
          {trans.__('Quickstart notebook, 5 minutes')}
        </button>
        <button type="button" className="swl-Link" onClick={() => void commands.execute(CommandIDs.newSwarm)}>
          <Icon name="edit" />
          {trans.__('New swarm of your own…')}
        </button>
      </div>
    </div>
  );
}

function Picture(): JSX.Element {
  return (
    <svg className="swl-Empty-picture" width="88" height="72" viewBox="0 0 88 72" aria-hidden>
      <path d="M44 16 16 56h56z" />
      <circle cx="44" cy="14" r="12" style={{ stroke: 'var(--swl-line-1)' }} />
      <circle cx="14" cy="56" r="12" style={{ stroke: 'var(--swl-line-2)' }} />
      <circle cx="74" cy="56" r="12" style={{ stroke: 'var(--swl-line-3)' }} />
    </svg>
  );
}
