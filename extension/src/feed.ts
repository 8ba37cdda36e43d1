/** A training with its rounds: asked for once, folded on from the facts as they come, asked for anew after a break. */
import type { IDisposable } from '@lumino/disposable';
import type { TrainingDetail } from './api';
import { asFailure, type SwarmFailure } from './failure';
import type { ISwarmModel, Link } from './tokens';
import { fold } from './training';
import { pathOf } from './transport';
import type { Trans } from './words';

export class TrainingFeed implements IDisposable {
  constructor(
    private readonly _model: ISwarmModel,
    private readonly _swarm: string,
    private readonly _training: string,
    private readonly _trans: Trans
  ) {
    _model.changed.connect(this._onChange, this);
    void this._load();
  }

  get detail(): TrainingDetail | null {
    return this._detail;
  }

  /** Why there is no training to show. */
  get failure(): SwarmFailure | null {
    return this._failure;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    this._model.changed.disconnect(this._onChange, this);
    this._watch?.dispose();
  }

  /** What failed for want of a server is asked for again when there is one. */
  private _onChange(): void {
    const back = this._link !== 'live' && this._model.link === 'live';
    this._link = this._model.link;
    if (back && this._failure !== null) {
      void this._load();
    }
  }

  private async _load(): Promise<void> {
    try {
      const path = pathOf('swarms', this._swarm, 'trainings', this._training);
      const found = await this._model.request<TrainingDetail>('GET', path);
      if (this._disposed) {
        return;
      }
      this._failure = null;
      this._detail = found;
      this._watch?.dispose();
      this._watch = this._model.watch(this._swarm, found.seq, facts => (this._detail = fold(this._detail, facts)));
    } catch (error) {
      this._failure = asFailure(error, this._trans);
    }
    if (!this._disposed) {
      this.loaded();
    }
  }

  /** Called when an answer, or a failure, has come; the facts after it come with the model's own signal. */
  loaded: () => void = () => undefined;

  private _detail: TrainingDetail | null = null;
  private _failure: SwarmFailure | null = null;
  private _watch: IDisposable | null = null;
  private _link: Link = 'loading';
  private _disposed = false;
}
