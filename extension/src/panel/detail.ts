/** A training with its rounds and measures, for a component of the panel. */
import { useEffect, useReducer, useState } from 'react';
import type { TrainingDetail } from '../api';
import { TrainingFeed } from '../feed';
import type { ISwarmModel } from '../tokens';
import type { Trans } from '../words';

/** Null until it is there. The model draws when facts come; the answer is then a new one. */
export function useDetail(model: ISwarmModel, trans: Trans, swarm: string, training: string): TrainingDetail | null {
  const [feed, setFeed] = useState<TrainingFeed | null>(null);
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const made = new TrainingFeed(model, swarm, training, trans);
    made.loaded = draw;
    setFeed(made);
    return () => made.dispose();
  }, [model, swarm, training, trans]);
  return feed?.detail?.id === training ? feed.detail : null;
}
