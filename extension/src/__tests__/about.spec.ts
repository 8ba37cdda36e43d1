/** @jest-environment jsdom */
/** Commands about something that may be gone by the time they are chosen. */
import { CommandRegistry } from '@lumino/commands';
import { about } from '../sets/about';
import { english } from '../words';

const told: string[] = [];
jest.mock('@jupyterlab/apputils', () => ({ Notification: { warning: (text: string) => told.push(text) } }));

describe('a command about one thing', () => {
  let there: string | null;
  let done: string[];
  let commands: CommandRegistry;

  beforeEach(() => {
    there = 'sl-3';
    done = [];
    commands = new CommandRegistry();
    commands.addCommand('kill', about(english, () => there)(found => found !== 'sl-1', found => done.push(found)));
  });

  it('is done to that thing', async () => {
    await commands.execute('kill');
    expect(done).toEqual(['sl-3']);
  });

  it('is there if the thing is, and fits', () => {
    expect(commands.isEnabled('kill')).toBe(true);
    there = 'sl-1';
    expect(commands.isEnabled('kill')).toBe(false);
    there = null;
    expect(commands.isEnabled('kill')).toBe(false);
  });

  it('says so when the thing went while its menu was open', async () => {
    there = null;
    await commands.execute('kill');
    expect(done).toEqual([]);
    expect(told).toEqual([expect.stringContaining('no longer there')]);
  });
});
