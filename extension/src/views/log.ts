/** A node's log of any size: follows its end, reads older lines as one scrolls up, finds a text and walks its matches. */
import type { LogLine, LogPage } from '../api';
import { english, type Trans } from '../words';
import { button, el, icon, setText } from './dom';

/** Lines in the page at once; further ones are read again when they are scrolled to. */
const KEPT = 1500;
const PAGE = 400;
/** Bytes that are read beyond a match, so that it does not stand at the very end. */
const BEYOND = 24000;
const TYPING_MS = 300;
const NEAR = 40;

export interface ILogSource {
  page(query: { lines: number; before?: number; search?: string }): Promise<LogPage>;
  /** `from` is asked at each connection. */
  follow(from: () => number, listener: (said: { lines: LogLine[]; size: number }) => void): { dispose(): void };
  failed(error: unknown): void;
}

export class LogView {
  readonly node: HTMLElement;

  constructor(host: HTMLElement, name: string, source: ILogSource, trans: Trans = english) {
    this._source = source;
    this._trans = trans;
    this._lines = el('div', 'swl-Log', { role: 'log', 'aria-live': 'off', tabindex: 0, 'aria-label': trans.__('Log of %1', name) });
    this._search = el('input', '', { type: 'search', 'aria-label': trans.__('Search the log'), placeholder: trans.__('Search') });
    this._follow = button('follow', trans.__('Follow'), () => void this.toEnd(), { word: true });
    const field = el('label', 'swl-Search swl-grow', {}, icon('search'), this._search, this._count);
    const up = button('up', trans.__('Previous match'), () => void this._walk(1));
    const down = button('down', trans.__('Next match'), () => void this._walk(-1));
    const bar = el('div', 'swl-Log-bar', {}, el('span', 'swl-h', {}, trans.__('Log')), field, up, down, this._follow);
    this._more = button('down', '', () => void this.toEnd(), { word: true, className: 'swl-Log-more' });
    this.node = el('div', 'swl-LogView', {}, bar, this._lines, this._more);
    this._paused(false);
    this._search.addEventListener('input', () => {
      clearTimeout(this._typing);
      this._typing = setTimeout(() => void this._find(), TYPING_MS);
    });
    this._search.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        void this._walk(event.shiftKey ? -1 : 1);
      }
    });
    this.node.addEventListener('keydown', event => this._key(event));
    this._lines.addEventListener('scroll', () => this._scrolled());
    host.append(this.node);
  }

  /** Read the newest lines and follow those that come. */
  async toEnd(): Promise<void> {
    this._paused(false);
    const page = await this._ask({ lines: PAGE });
    if (!page || this._over) {
      return;
    }
    this._show(page);
    this._following?.dispose();
    this._following = this._source.follow(
      () => this._end,
      ({ lines, size }) => this._take(lines, size)
    );
    this._lines.scrollTop = this._lines.scrollHeight;
  }

  focus(): void {
    this._lines.focus();
  }

  dispose(): void {
    this._over = true;
    clearTimeout(this._typing);
    this._following?.dispose();
    this.node.remove();
  }

  /** One question at a time; null where it failed, which the source tells. */
  private _ask(query: { lines: number; before?: number; search?: string }): Promise<LogPage | null> {
    const answer = this._asked.then(async () => {
      try {
        return this._over ? null : await this._source.page(query);
      } catch (error) {
        this._source.failed(error);
        return null;
      }
    });
    this._asked = answer;
    return answer;
  }

  private _show(page: LogPage): void {
    this._lines.replaceChildren(...page.lines.map(line => this._row(line)));
    this._start = page.start;
    this._end = page.end;
    this._size = page.size;
    this._waiting = 0;
    this._tell();
  }

  private _take(lines: LogLine[], size: number): void {
    const fresh = lines.filter(line => line.offset >= this._end);
    this._size = size;
    if (this._isPaused) {
      this._waiting += fresh.length;
    } else {
      this._lines.append(...fresh.map(line => this._row(line)));
      while (this._lines.childElementCount > KEPT) {
        this._lines.firstElementChild!.remove();
        this._start = offsetOf(this._lines.firstElementChild!);
      }
      this._end = size;
      this._lines.scrollTop = this._lines.scrollHeight;
    }
    this._tell();
  }

  private _tell(): void {
    this._more.hidden = !this._isPaused;
    const words = this._waiting ? this._trans._n('%1 new line', '%1 new lines', this._waiting) : this._trans.__('Paused; go to the end');
    this._more.lastChild!.textContent = words;
  }

  private _paused(paused: boolean): void {
    this._isPaused = paused;
    this._follow.setAttribute('aria-pressed', String(!paused));
    this._follow.classList.toggle('is-on', !paused);
    this._tell();
  }

  private _scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this._lines;
    const atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (!atEnd && !this._isPaused && scrollTop < this._last - 2) {
      this._paused(true);
    } else if (atEnd && this._isPaused) {
      this._once(() => this._newer());
    }
    this._last = scrollTop;
    if (scrollTop < NEAR && this._start > 0) {
      this._once(() => this._older());
    }
  }

  /** Scrolling asks over and over while an answer is under way. */
  private _once(read: () => Promise<void>): void {
    if (!this._reading) {
      this._reading = true;
      void read().finally(() => (this._reading = false));
    }
  }

  private async _older(): Promise<void> {
    const page = await this._ask({ lines: PAGE, before: this._start });
    const top = this._lines.firstElementChild;
    if (!page?.lines.length || this._over) {
      return;
    }
    const height = this._lines.scrollHeight;
    this._lines.prepend(...page.lines.map(line => this._row(line)));
    this._start = page.start;
    this._lines.scrollTop += top ? this._lines.scrollHeight - height : 0;
    while (this._lines.childElementCount > KEPT) {
      this._end = offsetOf(this._lines.lastElementChild!);
      this._lines.lastElementChild!.remove();
    }
  }

  /** At the lower end: what was cut off there, or the log's own end, and then it is followed again. */
  private async _newer(): Promise<void> {
    if (this._end >= this._size || this._size - this._end < BEYOND) {
      await this.toEnd();
      return;
    }
    const page = await this._ask({ lines: PAGE, before: this._end + BEYOND });
    const fresh = page?.lines.filter(line => line.offset >= this._end) ?? [];
    if (page && fresh.length) {
      this._lines.append(...fresh.map(line => this._row(line)));
      this._end = page.end;
    }
  }

  private _row(line: LogLine): HTMLElement {
    const bad = line.level === 'error';
    const marked = bad || line.level === 'warning';
    const tone = bad ? 'is-bad' : 'is-warn';
    const label = bad ? this._trans.__('error') : this._trans.__('warning');
    const time = line.time === null ? '' : new Date(line.time * 1000).toLocaleTimeString([], { hour12: false });
    const text = el('span', 'swl-Log-text');
    text.append(...this._marked(line.text));
    return el(
      'div',
      marked ? tone : line.level === 'debug' ? 'is-debug' : '',
      { 'data-offset': line.offset },
      el('time', '', {}, time),
      marked ? icon(bad ? 'lost' : 'warn', tone, label) : el('span'),
      text
    );
  }

  /** The text with what is searched for marked. */
  private _marked(text: string): Node[] {
    const wanted = this._wanted.toLowerCase();
    const parts: Node[] = [];
    const low = text.toLowerCase();
    let from = 0;
    for (let at = wanted ? low.indexOf(wanted) : -1; at >= 0; at = low.indexOf(wanted, from)) {
      parts.push(document.createTextNode(text.slice(from, at)), el('mark', '', {}, text.slice(at, at + wanted.length)));
      from = at + wanted.length;
    }
    return [...parts, document.createTextNode(text.slice(from))];
  }

  private async _find(): Promise<void> {
    this._wanted = this._search.value;
    this._matches = [];
    this._match = -1;
    for (const row of this._lines.children) {
      const text = row.lastElementChild!;
      text.replaceChildren(...this._marked(text.textContent ?? ''));
    }
    setText(this._count, '');
    if (!this._wanted) {
      return;
    }
    const wanted = this._wanted;
    const page = await this._ask({ lines: 1, search: wanted });
    if (page && wanted === this._wanted) {
      this._matches = page.matches ?? [];
      setText(this._count, this._matches.length ? String(this._matches.length) : this._trans.__('none'));
      if (this._matches.length) {
        await this._walk(1);
      }
    }
  }

  /** To the match before (1) or after (-1) this one: the newest is the first. */
  private async _walk(step: number): Promise<void> {
    const count = this._matches.length;
    if (!count) {
      return;
    }
    this._match = this._match < 0 ? 0 : (this._match + step + count) % count;
    setText(this._count, this._trans.__('%1 of %2', this._match + 1, count));
    this._paused(true);
    const offset = this._matches[this._match];
    if (!this._rowAt(offset)) {
      const page = await this._ask({ lines: PAGE, before: Math.min(this._size, offset + BEYOND) });
      if (page) {
        this._show(page);
      }
      if (!this._rowAt(offset)) {
        const nearer = await this._ask({ lines: PAGE, before: Math.min(this._size, offset + 4 * PAGE) });
        if (nearer) {
          this._show(nearer);
        }
      }
    }
    this._lines.querySelector('mark.on')?.classList.remove('on');
    const row = this._rowAt(offset);
    row?.querySelector('mark')?.classList.add('on');
    row?.scrollIntoView({ block: 'center' });
  }

  private _rowAt(offset: number): Element | null {
    return this._lines.querySelector(`[data-offset="${offset}"]`);
  }

  private _key(event: KeyboardEvent): void {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'f') {
      this._search.focus();
      this._search.select();
    } else if (event.key === 'End' && event.target === this._lines) {
      void this.toEnd();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private _source: ILogSource;
  private _trans: Trans;
  private _lines: HTMLElement;
  private _search: HTMLInputElement;
  private _count = el('span', 'swl-num swl-2 swl-small', { role: 'status' });
  private _follow: HTMLButtonElement;
  private _more: HTMLButtonElement;
  private _following: { dispose(): void } | null = null;
  private _start = 0;
  private _end = 0;
  private _size = 0;
  private _last = 0;
  private _waiting = 0;
  private _isPaused = false;
  private _asked: Promise<unknown> = Promise.resolve();
  private _reading = false;
  private _over = false;
  private _wanted = '';
  private _matches: number[] = [];
  private _match = -1;
  private _typing: ReturnType<typeof setTimeout> | undefined;
}

function offsetOf(row: Element): number {
  return Number(row.getAttribute('data-offset'));
}
