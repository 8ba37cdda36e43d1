/** A training with its rounds and measures: asked for once, kept up by the facts as they come. */
import type { IDisposable } from '@lumino/disposable';
import { useEffect, useState } from 'react';
import type { TrainingDetail } from '../api';
import type { ISwarmModel } from '../tokens';
import { fold } from '../training';
import { pathOf } from '../transport';

/** Null until it is there. The model draws when facts come; the answer is then a new one. */
export function useDetail(model: ISwarmModel, swarm: string, training: string): TrainingDetail | null {
  const [holder, setHolder] = useState<{ detail: TrainingDetail | null }>({ detail: null });
  // With the link, so that it is asked for again when the server is back.
  const there = model.link !== 'lost';
  useEffect(() => {
    let watch: IDisposable | null = null;
    let gone = false;
    const mine = { detail: null as TrainingDetail | null };
    const load = async (): Promise<void> => {
      const found = await model.request<TrainingDetail>('GET', pathOf('swarms', swarm, 'trainings', training));
      if (gone) {
        return;
      }
      mine.detail = found;
      setHolder(mine);
      watch = model.watch(swarm, found.seq, facts => (mine.detail = fold(mine.detail, facts)));
    };
    load().catch(() => {
      // The training is gone with its swarm, or the network is: the section itself says so.
    });
    return () => {
      gone = true;
      watch?.dispose();
    };
  }, [model, swarm, training, there]);
  return holder.detail?.id === training ? holder.detail : null;
}
