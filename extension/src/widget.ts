/** The output of `%%swarm train` by anywidget: the kernel sends facts, and this folds and draws them. */
import '../style/cell.css';
import type { Fact, TrainingDetail } from './api';
import { askPage } from './cellEvent';
import { type IVisibility, Pacer } from './pacer';
import { fold, isOver } from './training';
import { type IActions, Selection, TrainingView } from './views';

interface IModel {
  get(name: 'key' | 'swarm' | 'training'): string;
  get(name: 'detail'): TrainingDetail | null;
  set(name: 'detail', value: null): void;
  on(event: string, callback: (...given: never[]) => void): void;
  send(content: unknown): void;
}

interface IContext {
  model: IModel;
  el: HTMLElement;
}

/** What the kernel sends: facts, and the number of the one that it had sent before them. */
interface IDelta {
  after: number;
  facts: Fact[];
}

const ASK_AGAIN_MS = 5000;

/** The training of one output, whichever of its views are in the page. */
class Feed {
  readonly selection = new Selection();
  readonly changed = new Set<() => void>();
  detail: TrainingDetail | null = null;

  /** A kernel that is found again brings a new model of the same output. */
  attach(model: IModel): void {
    this._model = model;
    this._snapshot();
    model.on('change:detail', () => this._snapshot());
    model.on('msg:custom', (delta: IDelta) => this._take(delta));
  }

  /** Taken over and let go: what stays in the model is saved with the notebook. */
  private _snapshot(): void {
    const detail = this._model.get('detail');
    if (!detail) {
      return;
    }
    this._model.set('detail', null);
    if (!this.detail || detail.seq > this.detail.seq) {
      this.detail = { ...detail, output: this.detail?.output };
      this._tell();
    }
  }

  private _take({ after, facts }: IDelta): void {
    const known = this.detail?.seq ?? 0;
    if (after > known) {
      this._ask(known);
      return;
    }
    this.detail = fold(this.detail, facts);
    this._tell();
  }

  /** Something was lost. A busy kernel may answer late, but sends a snapshot by itself from time to time. */
  private _ask(since: number): void {
    if (Date.now() - this._asked > ASK_AGAIN_MS) {
      this._asked = Date.now();
      this._model.send({ since });
    }
  }

  private _tell(): void {
    this.changed.forEach(listener => listener());
  }

  private _model!: IModel;
  private _asked = 0;
}

const FEEDS = new Map<string, Feed>();

function feedOf(model: IModel): Feed {
  const key = model.get('key');
  const found = FEEDS.get(key);
  if (found) {
    return found;
  }
  const feed = new Feed();
  FEEDS.set(key, feed);
  feed.attach(model);
  return feed;
}

/** Before there is a view, so that nothing is missed. */
function initialize({ model }: { model: IModel }): void {
  const known = FEEDS.get(model.get('key'));
  if (known) {
    known.attach(model);
  } else {
    feedOf(model);
  }
}

/** The picture in the output above, for front ends without widgets, is hidden as long as this view is there. */
function hidePicture(key: string): () => void {
  const style = document.createElement('style');
  style.textContent = `[data-swl-beside="${CSS.escape(key)}"] { display: none; }`;
  document.head.append(style);
  return () => style.remove();
}

function render({ model, el }: IContext): () => void {
  const feed = feedOf(model);
  const showPicture = hidePicture(model.get('key'));
  const of = { swarm: model.get('swarm'), training: model.get('training') };
  const view = new TrainingView(el, feed.selection);
  let known = false;
  const draw = (): void => {
    if (!known && askPage({ ...of })) {
      known = true;
      view.actions = actions(of);
    }
    if (feed.detail) {
      view.update({ ...feed.detail, swarm: of.swarm });
    }
  };
  const gone = new AbortController();
  const pacer = new Pacer(draw, pageUntil(gone.signal));
  const poke = (): void => pacer.poke();
  feed.changed.add(poke);
  draw();
  // Time goes on where no fact comes.
  const clock = setInterval(() => feed.detail && !isOver(feed.detail) && pacer.poke(), 1000);
  return () => {
    showPicture();
    clearInterval(clock);
    gone.abort();
    feed.changed.delete(poke);
    pacer.dispose();
    view.dispose();
  };
}

/** That of `page`, for a view that goes. */
function pageUntil(signal: AbortSignal): IVisibility {
  const shown = (callback: () => void): void =>
    document.addEventListener('visibilitychange', () => !document.hidden && callback(), { signal });
  return { hidden: () => document.hidden, onShown: shown };
}

function actions(of: { swarm: string; training: string }): IActions {
  return {
    open: () => void askPage({ ...of, act: 'open' }),
    stop: () => void askPage({ ...of, act: 'stop' })
  };
}

export default { initialize, render };
