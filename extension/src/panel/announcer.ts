/** The one polite live region of a browser tab: rounds, nodes that are lost or back, trainings that have ended. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { SwarmInfo } from '../api';
import { type News, newsOf } from '../news';
import type { ISwarmModel } from '../tokens';

/** A round is told so often at most; the last one wins. */
const ROUND_MS = 10000;

export class Announcer {
  constructor(
    private readonly _model: ISwarmModel,
    private readonly _trans: TranslationBundle
  ) {
    this.node = document.createElement('div');
    this.node.className = 'swl-Announcer';
    this.node.setAttribute('role', 'status');
    this.node.setAttribute('aria-live', 'polite');
    _model.swarmChanged.connect(this._onChange, this);
  }

  readonly node: HTMLElement;

  dispose(): void {
    this._model.swarmChanged.disconnect(this._onChange, this);
    clearTimeout(this._timer);
  }

  private _onChange(_: unknown, change: { before: SwarmInfo | null; after: SwarmInfo | null }): void {
    for (const news of newsOf(change.before, change.after)) {
      if (news.swarm === this._model.selected || news.kind !== 'round') {
        this._tell(news);
      }
    }
  }

  private _tell(news: News): void {
    const text = newsText(news, this._trans);
    if (news.kind !== 'round') {
      this.node.textContent = text;
      return;
    }
    this._round = text;
    const wait = Math.max(0, this._spoken + ROUND_MS - Date.now());
    this._timer ??= setTimeout(() => {
      this._timer = undefined;
      this._spoken = Date.now();
      this.node.textContent = this._round;
    }, wait);
  }

  private _round = '';
  private _spoken = 0;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}

export function newsText(news: News, trans: TranslationBundle): string {
  switch (news.kind) {
    case 'round':
      return trans.__('%1: round %2 committed', news.training, news.round);
    case 'lost':
      return trans.__('%1 was lost in round %2', news.node, news.round + 1);
    case 'back':
      return trans.__('%1 is back', news.node);
    case 'failed':
      return trans.__('%1 failed', news.node);
    case 'ended':
      return endText(news, trans);
  }
}

function endText({ training, state, round }: News & { kind: 'ended' }, trans: TranslationBundle): string {
  switch (state) {
    case 'finished':
      return trans.__('%1 has finished after round %2', training, round);
    case 'stopped':
      return trans.__('%1 was stopped after round %2', training, round);
    default:
      return trans.__('%1 has failed in round %2', training, round + 1);
  }
}
