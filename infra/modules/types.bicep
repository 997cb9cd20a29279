// The forms of the parameters that hold more than one value. No resources.

@export()
@description('A model that Azure serves in an account.')
type deployment = {
  @description('What config.yaml calls it: azure/NAME.')
  name: string

  @description('Which model, in Azure\'s words. `az cognitiveservices model list -l REGION` lists them.')
  model: {
    @description('OpenAI, Anthropic, xAI, DeepSeek, …')
    format: string
    name: string
    version: string
  }

  @description('How it is sold, and how much of it: thousands of tokens a minute, or provisioned units (PTUs).')
  sku: {
    @description('GlobalStandard, DataZoneStandard, Standard, GlobalProvisionedManaged, DataZoneProvisionedManaged, ProvisionedManaged, GlobalBatch, DataZoneBatch, …')
    name: string
    @minValue(1)
    capacity: int
  }

  @description('Of a provisioned deployment: the deployment of the same account to which Azure passes what it cannot take. It must stand earlier in the list.')
  spillover: string?

  @description('The content filter: the name of a policy of the account. Azure\'s default else.')
  raiPolicy: string?

  @description('What Azure may do when the model has a new version. OnceCurrentVersionExpired else: the version stays until Azure retires it.')
  versionUpgradeOption: ('NoAutoUpgrade' | 'OnceCurrentVersionExpired' | 'OnceNewDefaultVersionAvailable')?

  @description('Claude needs it: who uses the model. The subscription must be allowed to buy from the Marketplace.')
  modelProviderData: {
    organizationName: string
    @description('technology, finance, healthcare, …')
    industry: string
    @description('Two letters: DE, US, …')
    countryCode: string
  }?
}

@export()
@description('A resource of Azure AI Foundry or Azure OpenAI: made here, or one that exists and only gets roles.')
type account = {
  @description('Made here: the resource gets this name and a suffix that makes it unique (see the output accountNames). Existing: its name.')
  @minLength(2)
  @maxLength(48)
  name: string

  @description('The region. It need not be the gateway\'s.')
  location: string

  @description('AIServices (Foundry: all models) else.')
  kind: ('AIServices' | 'OpenAI' | 'ContentSafety')?

  @description('true: it exists already. Nothing in it is changed; the gateway gets its roles on it.')
  existing: bool?

  @description('Where the existing one is, if not in this resource group.')
  resourceGroup: string?

  @description('Where the existing one is, if not in this subscription.')
  subscriptionId: string?

  @description('The models that are served there. Not for existing ones.')
  deployments: deployment[]?

  @description('Claude and other models that are not OpenAI\'s, and Content Safety: gives the role that they ask for.')
  partners: bool?

  @description('Batches go by way of the container azure-batches of the gateway\'s storage: gives the account a role there.')
  batchStorage: bool?
}
