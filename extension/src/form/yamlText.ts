/** The YAML of a swarm and the form's values: the same thing, in two shapes. */
import { isMap, parseDocument } from 'yaml';

export type Values = Record<string, unknown>;

/** What a file begins as: every field has a default, the ones that people set are there. */
export function firstText(taken: readonly string[]): string {
  let name = 'swarm';
  for (let count = 2; taken.includes(name); count++) {
    name = `swarm-${count}`;
  }
  return `name: ${name}\nsl: 4\nsn: 2\n`;
}

/** Null if it is not a mapping of fields, for now. */
export function valuesOf(text: string): Values | null {
  const document = parseDocument(text);
  return document.errors.length === 0 && isMap(document.contents) ? (document.toJS() as Values) : null;
}

/** The text with the form's changes; comments, order and all that is the same stay as they are. */
export function withValues(text: string, values: Values): string {
  const document = parseDocument(text);
  if (document.errors.length > 0 || !isMap(document.contents)) {
    return text;
  }
  const before = document.toJS() as Values;
  for (const name of new Set([...Object.keys(before), ...Object.keys(values)])) {
    const value = values[name];
    if (JSON.stringify(before[name]) === JSON.stringify(value)) {
      continue;
    }
    if (value === undefined || value === null || isEmpty(value)) {
      document.delete(name);
    } else {
      document.set(name, document.createNode(value));
    }
  }
  return document.toString();
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** The cell that does the same; null if only a file can say it. */
export function sameAs(values: Values): string | null {
  const words = ['%swarm up'];
  for (const [name, value] of Object.entries(values)) {
    if (['name', 'sl', 'sn', 'framework'].includes(name)) {
      words.push(`--${name} ${String(value)}`);
    } else if (name === 'cold') {
      words.push(value ? '--cold' : '--no-cold');
    } else if (name !== 'version') {
      return null;
    }
  }
  return words.join(' ');
}
