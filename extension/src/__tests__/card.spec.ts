/** @jest-environment jsdom */
import { Selection, TrainingView } from '../views';
import { fold } from '../training';
import { detailOf, facts } from './stories';

// Its drawing needs a canvas, which jsdom has not; what is read off it is tested here.
jest.mock('uplot', () => jest.fn().mockImplementation(() => ({ setData: jest.fn(), destroy: jest.fn() })));

function shown(detail: ReturnType<typeof detailOf>, actions = {}): HTMLElement {
  document.body.replaceChildren();
  new TrainingView(document.body, new Selection(), undefined, actions).update({ ...detail, swarm: 'demo' });
  return document.body;
}

describe('TrainingView', () => {
  it('answers: is it running, how far is it, does anything need a look', () => {
    const page = shown(detailOf(4, 5, 4));
    const head = page.querySelector('.swl-Card-head')!.textContent;
    expect(head).toContain('Running');
    expect(head).toContain('on demo, 3 of 4 nodes');
    expect(head).toContain('Round 6');
    expect(page.querySelector('.swl-Nodes')!.textContent).toContain('left out of round 5: not heard');
  });

  it('has buttons only where somebody acts on them', () => {
    expect(shown(detailOf(2, 1)).querySelector('.swl-Card-tools')!.childElementCount).toBe(0);
    const stop = jest.fn();
    [...shown(detailOf(2, 1), { stop }).querySelectorAll('button')].find(one => one.textContent === 'Stop…')!.click();
    expect(stop).toHaveBeenCalled();
  });

  it('says curves in a sentence and in a table', () => {
    const page = shown(detailOf(2, 4));
    expect(page.querySelector('.swl-Chart')!.getAttribute('aria-label')).toBe(
      'Loss over 4 rounds; of the merged model 0.500 in round 3'
    );
    page.querySelector<HTMLButtonElement>('[aria-label="Show as table"]')!.click();
    const row = page.querySelector('.swl-Figure tbody tr:nth-child(2)')!;
    expect([...row.children].map(cell => cell.textContent)).toEqual(['3', '0.667', '0.767', '0.500']);
  });

  it('tells a failure once for all nodes that met it, as text', () => {
    const told = facts(2, 1);
    const fail = (node: string, seq: number) =>
      ({ v: 1 as const, seq, time: 1, event: 'node_failed', training: 't-1', node, code: 'SWL-410', message: '<b>no</b>', line: 6 });
    const page = shown(fold(null, [...told, fail('sl-1', 100), fail('sl-2', 101)]));
    expect(page.querySelectorAll('[role="alert"]')).toHaveLength(1);
    expect(page.querySelector('[role="alert"]')!.textContent).toContain('failed on sl-1, sl-2');
    expect(page.querySelector('pre b')).toBeNull();
  });
});
