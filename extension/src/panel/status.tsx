/** The item of the status bar. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import React from 'react';
import type { SwarmInfo } from '../api';
import { running } from '../states';
import type { ISwarmModel } from '../tokens';
import { wordsOf } from '../words';
import { Icon } from './parts';
import { progressOf } from './swarms';
import { treeOf } from './tree';

export class StatusItem extends ReactWidget {
  constructor(
    private readonly _model: ISwarmModel,
    private readonly _trans: TranslationBundle,
    private readonly _open: () => void
  ) {
    super();
    this.addClass('swl-StatusItem');
  }

  protected render(): JSX.Element {
    return <UseSignal signal={this._model.changed}>{() => this._button()}</UseSignal>;
  }

  private _button(): JSX.Element {
    const { _model: model, _trans: trans } = this;
    const swarm = model.swarms.find(one => running(one) !== null) ?? shown(model);
    const needs = swarm === null ? [] : exceptionsOf(swarm);
    const words = wordsOf(trans);
    const parts = swarm === null ? [trans.__('No swarm')] : [swarm.swarm, progressOf(swarm, trans)];
    parts.push(...needs.map(({ look, count }) => `${count} ${words(look.word).toLowerCase()}`));
    return (
      <button
        type="button"
        className="swl-Status"
        title={trans.__('Show the swarms in the side panel')}
        aria-label={parts.join(', ')}
        onClick={this._open}
      >
        <Icon name="swarm" />
        <span>{parts.slice(0, 2).filter(Boolean).join(' · ')}</span>
        {needs.map(({ look, count }) => (
          <span key={look.word} className={`swl-State is-${look.tone}`}>
            <Icon name={look.icon} />
            {count} {words(look.word).toLowerCase()}
          </span>
        ))}
      </button>
    );
  }
}

function shown(model: ISwarmModel): SwarmInfo | null {
  const swarm = model.selected === null ? null : model.swarm(model.selected);
  return swarm === null || swarm.state === 'stopped' ? null : swarm;
}

function exceptionsOf(swarm: SwarmInfo) {
  const { rows } = treeOf(swarm, new Set());
  const groups = rows.flatMap(row => (row.kind === 'group' && row.level === 1 ? row.exceptions : []));
  return groups.filter(({ look }) => look.tone === 'bad').slice(0, 2);
}
