/** @jest-environment jsdom */
import type { LogLine, LogPage } from '../api';
import { type ILogSource, LogView } from '../views';

jest.mock('uplot', () => jest.fn());
Element.prototype.scrollIntoView = jest.fn();

const line = (at: number): LogLine => ({ offset: at * 10, time: 1000 + at, level: at === 3 ? 'error' : 'info', text: `line ${at} of it` });
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn++) {
    await Promise.resolve();
  }
};

class Source implements ILogSource {
  asked: Parameters<ILogSource['page']>[0][] = [];
  say: (said: { lines: LogLine[]; size: number }) => void = () => undefined;
  from: () => number = () => -1;
  count = 5000;
  failed = jest.fn();

  async page(query: Parameters<ILogSource['page']>[0]): Promise<LogPage> {
    this.asked.push(query);
    const end = Math.min(this.count, Math.floor((query.before ?? Infinity) / 10));
    const lines = Array.from({ length: Math.min(200, end) }, (_, at) => line(end - Math.min(200, end) + at));
    const page = { lines, start: lines[0]?.offset ?? 0, end: end * 10, size: this.count * 10 };
    return query.search ? { ...page, matches: [49930, 30] } : page;
  }

  follow(from: () => number, listener: Source['say']): { dispose(): void } {
    this.from = from;
    this.say = listener;
    return { dispose: jest.fn() };
  }
}

async function open(): Promise<{ source: Source; view: LogView; texts: () => string[] }> {
  document.body.replaceChildren();
  const source = new Source();
  const view = new LogView(document.body, 'sl-1', source);
  await view.toEnd();
  return { source, view, texts: () => [...document.querySelectorAll('.swl-Log-text')].map(row => row.textContent!) };
}

describe('LogView', () => {
  it('follows the end from where the page ended, and takes no line twice', async () => {
    const { source, texts } = await open();
    expect(source.from()).toBe(50000);
    source.say({ lines: [line(4999), line(5000)], size: 50010 });
    expect(texts().slice(-2)).toEqual(['line 4999 of it', 'line 5000 of it']);
    expect(source.from()).toBe(50010);
  });

  it('walks matches from the newest on, reads the page that has one, and counts new lines meanwhile', async () => {
    jest.useFakeTimers();
    const { source, texts } = await open();
    const search = document.querySelector('input')!;
    search.value = 'LINE';
    search.dispatchEvent(new Event('input'));
    jest.runAllTimers();
    await settle();
    expect(document.querySelector('[role="status"]')!.textContent).toBe('1 of 2');
    search.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
    await settle();
    expect(texts()).toContain('line 3 of it');
    expect(document.querySelector('mark.on')!.textContent).toBe('line');
    source.say({ lines: [line(5000)], size: 50010 });
    expect(texts()).not.toContain('line 5000 of it');
    expect(document.querySelector('.swl-Log-more')!.textContent).toBe('1 new line');
    jest.useRealTimers();
  });

  it('goes back to the end by its key', async () => {
    const { source } = await open();
    document.querySelector('.swl-Log')!.dispatchEvent(new KeyboardEvent('keydown', { key: 'End', bubbles: true }));
    await settle();
    expect(source.asked).toHaveLength(2);
  });
});
