/** The swarm's schema, as the server gives it, in the shape that the form draws well. */
import type { RJSFSchema, UiSchema } from '@rjsf/utils';
import type { SpecProblem } from '../api';
import type { Trans } from '../words';

type Schema = Record<string, unknown>;
type Properties = Record<string, Schema>;

/** What most people never set; it stands below the rest. */
const RARE = ['cold', 'svid_ttl'];

/**
 * Drop what is for validators alone: the server checks, with line numbers. `X or null` is an X that may be left out;
 * a default is shown as a placeholder, so that the file keeps to what was asked for. `described` has the same
 * fields with words.
 */
export function formSchema(spec: Schema, described: Schema, trans: Trans): RJSFSchema {
  const rest = without(spec, '$schema', 'description', 'title');
  const words = (described.properties ?? {}) as Properties;
  const properties: Properties = {};
  for (const [name, field] of Object.entries((spec.properties ?? {}) as Properties)) {
    // Tables of names, such as the nodes' addresses, are better written than clicked: they stay in the file.
    if (field.const === undefined && field.additionalProperties === undefined) {
      const description = helpOf(field.description ?? words[name]?.description);
      const title = titleOf(name, trans) ?? field.title;
      properties[name] = { ...plain(field), title, ...(description ? { description } : {}) };
    }
  }
  return { ...rest, properties } as RJSFSchema;
}

/** The default, in brackets at the end, is the field's placeholder. */
function helpOf(description: unknown): string {
  const text = String(description ?? '').replace(/\s*\[[^\]]*\]$/, '');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Fields that only the file has. */
export function inFileOnly(spec: Schema): string[] {
  const properties = (spec.properties ?? {}) as Properties;
  return Object.keys(properties).filter(name => properties[name].additionalProperties !== undefined);
}

/** `anyOf: [X, null]` as X; without a default. */
function plain(field: Schema): Schema {
  const rest = without(field, 'default', 'anyOf');
  const kinds = (field.anyOf ?? []) as Schema[];
  const real = kinds.filter(kind => kind.type !== 'null');
  return real.length === 1 && real.length < kinds.length ? { ...rest, ...real[0] } : field.anyOf ? field : rest;
}

function without(schema: Schema, ...keys: string[]): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !keys.includes(key)));
}

export function uiSchema(spec: Schema, trans: Trans): UiSchema {
  const ui: UiSchema = {};
  const names = Object.keys((spec.properties ?? {}) as Properties);
  for (const [name, field] of Object.entries((spec.properties ?? {}) as Properties)) {
    const value = field.default;
    const placeholder = value === null || value === undefined ? trans.__('not set') : String(value);
    // A box to tick says what it does beside itself.
    ui[name] = { 'ui:placeholder': placeholder, ...(field.type === 'boolean' ? { 'ui:description': '' } : {}) };
  }
  ui['ui:order'] = [...names.filter(name => !RARE.includes(name)), ...RARE.filter(name => names.includes(name)), '*'];
  ui['ui:submitButtonOptions'] = { norender: true };
  return ui;
}

function titleOf(name: string, trans: Trans): string | null {
  switch (name) {
    case 'name':
      return trans.__('Name');
    case 'sl':
      return trans.__('Learning nodes (SL)');
    case 'sn':
      return trans.__('Network nodes (SN)');
    case 'framework':
      return trans.__('Framework');
    case 'cold':
      return trans.__('Cold seats');
    case 'svid_ttl':
      return trans.__('Life of an identity, in seconds');
    default:
      return null;
  }
}

type Errors = { __errors?: string[]; [field: string]: Errors | string[] | undefined };

/** The server's problems at their fields; those of no field are for the file alone. */
export function errorsOf(problems: readonly SpecProblem[]): Errors {
  const errors: Errors = {};
  for (const { path, message } of problems) {
    let at: Errors = errors;
    for (const part of path.split('.').filter(Boolean)) {
      at = (at[part] ??= {}) as Errors;
    }
    at.__errors = [...(at.__errors ?? []), message];
  }
  return errors;
}
