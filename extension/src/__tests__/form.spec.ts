import { errorsOf, formSchema, inFileOnly, uiSchema } from '../form/schema';
import { firstText, sameAs, valuesOf, withValues } from '../form/yamlText';
import { english } from '../words';

const spec = {
  $schema: 'draft',
  type: 'object',
  properties: {
    version: { const: 1, default: 1 },
    sl: { default: 4, maximum: 64, minimum: 1, title: 'Sl', type: 'integer' },
    framework: { anyOf: [{ enum: ['torch'], type: 'string' }, { type: 'null' }], default: null },
    hosts: { additionalProperties: { type: 'string' }, type: 'object' }
  }
};
const described = { properties: { sl: { description: 'nodes that learn (seats) [4]' } } };

describe('formSchema', () => {
  const { properties } = formSchema(spec, described, english);

  it('makes plain fields of what may be null, with titles and help', () => {
    expect(properties?.sl).toMatchObject({ title: 'Learning nodes (SL)', description: 'Nodes that learn (seats)' });
    expect(properties?.framework).toMatchObject({ type: 'string', enum: ['torch'] });
    expect(properties?.framework).not.toHaveProperty('anyOf');
  });

  it('shows defaults as placeholders, so that the file keeps to what was asked for', () => {
    expect(properties?.sl).not.toHaveProperty('default');
    expect(uiSchema(spec, english).sl).toEqual({ 'ui:placeholder': '4' });
  });

  it('leaves tables and constants to the file', () => {
    expect(Object.keys(properties ?? {})).toEqual(['sl', 'framework']);
    expect(inFileOnly(spec)).toEqual(['hosts']);
  });
});

it('puts problems at their fields', () => {
  const problem = { line: 2, column: 1, path: 'hosts.sl-1', message: 'no address' };
  expect(errorsOf([problem])).toEqual({ hosts: { 'sl-1': { __errors: ['no address'] } } });
});

describe('the YAML', () => {
  it('begins with a name that is free', () => {
    expect(firstText([])).toContain('name: swarm\n');
    expect(firstText(['swarm', 'swarm-2'])).toContain('name: swarm-3\n');
  });

  it('keeps comments and order when the form changes a field', () => {
    const text = '# ours\nname: ward # the ward\nsl: 4\n';
    expect(withValues(text, { name: 'ward', sl: 8, cold: true })).toBe(
      '# ours\nname: ward # the ward\nsl: 8\ncold: true\n'
    );
    expect(withValues(text, { name: 'ward', sl: undefined })).toBe('# ours\nname: ward # the ward\n');
  });

  it('stays as it is while it is none', () => {
    expect(valuesOf('sl: [')).toBeNull();
    expect(withValues('sl: [', { sl: 3 })).toBe('sl: [');
  });

  it('is said as a cell where a cell can say it', () => {
    expect(sameAs({ name: 'ward', sl: 4, cold: true })).toBe('%swarm up --name ward --sl 4 --cold');
    expect(sameAs({ name: 'ward', hosts: {} })).toBeNull();
  });
});
