/** A swarm of many learning nodes at a glance: a mark for each, how many are at what, their load in sum. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';
import type { Load, SwarmInfo } from '../api';
import { bytes, percent } from '../format';
import type { Look } from '../states';
import { wordsOf } from '../words';
import { Icon } from './parts';

interface IMarksProps {
  marks: { name: string; look: Look }[];
  swarm: SwarmInfo;
  trans: TranslationBundle;
}

/** At this size only exceptions have a colour. */
const QUIET = new Set(['ok', 'busy', 'exchange', 'idle']);

export function Marks({ marks, swarm, trans }: IMarksProps): JSX.Element {
  const words = wordsOf(trans);
  const counts = new Map<string, { look: Look; count: number }>();
  for (const { look } of marks) {
    counts.set(look.word, { look, count: (counts.get(look.word)?.count ?? 0) + 1 });
  }
  const loads = swarm.nodes.flatMap(node => (node.kind === 'sl' && node.load ? [node.load] : []));
  return (
    <div className="swl-Marks" role="row">
      <div role="gridcell">
        <div className="swl-Dense" aria-hidden>
          {marks.map(({ name, look }) => (
            <span key={name} title={`${name}, ${words(look.word)}`}>
              <Mark look={look} />
            </span>
          ))}
        </div>
        <div className="swl-Legend">
          {[...counts.values()].map(({ look, count }) => (
            <span key={look.word}>
              <Mark look={look} />
              {count} {words(look.word).toLowerCase()}
            </span>
          ))}
        </div>
        {loads.length > 0 && <Sum loads={loads} trans={trans} />}
      </div>
    </div>
  );
}

function Mark({ look }: { look: Look }): JSX.Element {
  const quiet = QUIET.has(look.tone);
  const plain = look.word === 'Training' || look.word === 'Ready';
  return <Icon name={plain ? 'dot' : look.icon} tone={quiet ? 'idle' : look.tone} />;
}

function Sum({ loads, trans }: { loads: Load[]; trans: TranslationBundle }): JSX.Element {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const gpus = loads.flatMap(load => (load.gpu === null ? [] : [load.gpu]));
  return (
    <div className="swl-Marks-sum">
      <span>
        {trans.__('CPU, mean')} <b>{percent(mean(loads.map(load => load.cpu)))}</b>
      </span>
      <span>
        {trans.__('Memory, all')} <b>{bytes(loads.reduce((sum, load) => sum + load.memory, 0))}</b>
      </span>
      {gpus.length > 0 && (
        <span>
          {trans.__('GPU, mean')} <b>{percent(mean(gpus))}</b>
        </span>
      )}
    </div>
  );
}
