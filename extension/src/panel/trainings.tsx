/** The trainings of the chosen swarm: the one that runs or ran last as a card, the others one line each. */
import React from 'react';
import type { SwarmInfo, TrainingInfo } from '../api';
import { CommandIDs } from '../commands';
import { decimal, moment } from '../format';
import { running, trainingLook } from '../states';
import { wordsOf } from '../words';
import { openMenu, usePanel } from './context';
import { Icon, IconButton } from './parts';
import { TrainingCard } from './trainingCard';

const MAGIC = '%%swarm train';

export function Trainings(): JSX.Element {
  const { model, trans } = usePanel();
  const swarm = model.selected === null ? null : model.swarm(model.selected);
  if (swarm === null || swarm.trainings.length === 0) {
    const [before, after] = trans.__('Run a cell that begins with %1.', '\n').split('\n');
    return (
      <p className="swl-None">
        {before}
        <code className="swl-Code">{MAGIC}</code>
        {after}
      </p>
    );
  }
  const shown = running(swarm) ?? swarm.trainings[swarm.trainings.length - 1];
  const others = swarm.trainings.filter(training => training !== shown).reverse();
  return (
    <div className={model.link === 'live' ? '' : 'is-stale'} data-swarm={swarm.swarm}>
      <TrainingCard key={`${swarm.swarm} ${shown.id}`} swarm={swarm} training={shown} />
      {others.length > 0 && (
        <ul className="swl-Runs" aria-label={trans.__('Earlier trainings')}>
          {others.map(training => (
            <RunRow key={training.id} swarm={swarm} training={training} />
          ))}
        </ul>
      )}
    </div>
  );
}

function RunRow({ swarm, training }: { swarm: SwarmInfo; training: TrainingInfo }): JSX.Element {
  const { model, commands, trans } = usePanel();
  const look = trainingLook(training);
  const facts = [trans._n('%1 round', '%1 rounds', training.round)];
  if (training.metric !== null) {
    facts.push(decimal(training.metric));
  }
  if (training.ended !== null) {
    facts.push(moment(training.ended, Date.now() / 1000, span => trans.__('%1 ago', span)));
  }
  const select = (): void => model.select(swarm.swarm, { training: training.id });
  const open = (): void =>
    void commands.execute(CommandIDs.openTraining, { swarm: swarm.swarm, training: training.id });
  return (
    <li className="swl-Run" data-swarm={swarm.swarm} data-training={training.id} onContextMenu={select}>
      <Icon name={look.icon} tone={look.tone} label={wordsOf(trans)(look.word)} />
      <button type="button" className="swl-Run-name swl-cut" onClick={open}>
        {training.id}
      </button>
      <span className="swl-small swl-2 swl-num swl-cut">{facts.join(' · ')}</span>
      <IconButton icon="more" label={trans.__('Actions for %1', training.id)} onClick={openMenu} />
    </li>
  );
}
