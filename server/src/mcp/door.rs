//! The SDK's side of the door: each method of the protocol, handed to the file that knows it.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        CustomRequest, CustomResult, DiscoverResult, ErrorCode, GetPromptRequestParams, GetPromptResponse,
        GetTaskParams, GetTaskResult, Implementation, InitializeRequestParams, InitializeResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};

use super::{
    args::Args,
    changes::{Ear, Subscribed},
    prompts,
    resources::{self, Address},
    schema,
    seat::Seat,
    state::Shared,
    tasks,
    tools::{self, Call},
};

/// The revisions that are spoken.
static REVISIONS: [ProtocolVersion; 4] = [
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2026_07_28,
];

/// How long a client may keep a list that changes only with the program, in milliseconds.
pub(super) const FIXED: u64 = 3_600_000;

const INSTRUCTIONS: &str = "Central-MCP draws images for you. Call generate_image with a prompt; it reports progress and \
    returns the picture with links to the originals. If it returns before the image is done, call get_image with the id: \
    nothing is lost. list_images shows earlier ones, cancel_image stops one, whoami says who you are here.";

static ABOUT: LazyLock<ServerConfig> = LazyLock::new(|| {
    let capabilities = ServerCapabilities::builder()
        .enable_tools()
        .enable_resources()
        .enable_resources_list_changed()
        .enable_resources_subscribe()
        .enable_prompts()
        .enable_completions()
        .enable_tasks()
        .build();
    let name = Implementation::new("central-mcp", env!("CARGO_PKG_VERSION")).with_title("Central-MCP");
    ServerConfig::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
});

/// One client's side of the door: of one session, one socket, or one call that needs no session.
pub struct Door {
    mcp: Arc<Shared>,
    /// What a session of the handshake revisions has subscribed to.
    subscribed: Subscribed,
}

impl Door {
    pub(super) fn new(mcp: Arc<Shared>) -> Self {
        Self { mcp, subscribed: Subscribed::default() }
    }

    /// The call's sender; who it is for the first time in a while is written down.
    async fn sender<'a>(&self, context: &'a RequestContext<RoleServer>) -> Result<&'a Seat, ErrorData> {
        let seat = Seat::behind(&context.extensions)?;
        // A call that needs no session says itself who its program is, or it is not known.
        let client = match context.meta.protocol_version() {
            Some(_) => context.meta.client_info(),
            None => context.client_info(),
        };
        if let (Some(client), Some(revision)) = (client, context.protocol_version()) {
            self.mcp.met.hello(&self.mcp.hub, seat, &client, &revision).await;
        }
        Ok(seat)
    }
}

impl ServerHandler for Door {
    fn get_info(&self) -> ServerConfig {
        ABOUT.clone()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(&REVISIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let result = self.negotiate_initialize(&request)?;
        let seat = Seat::behind(&context.extensions)?;
        self.mcp.met.hello(&self.mcp.hub, seat, &request.client_info, &result.protocol_version).await;
        context.peer.set_peer_info(request);
        Ok(result)
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        self.sender(&context).await?;
        Ok(DiscoverResult::from_server_info(REVISIONS.to_vec(), ABOUT.clone()).with_ttl_ms(FIXED))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        if self.subscribed.begin() {
            let ear = Ear::Session(context.peer, self.subscribed.clone());
            self.mcp.hub.tasks.spawn(self.mcp.changes.tell(ear, self.mcp.hub.stop.clone()));
        }
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        one_page(request)?;
        let tools = schema::TOOLS.clone();
        Ok(ListToolsResult::with_all_items(tools).with_ttl_ms(FIXED).with_cache_scope(CacheScope::Private))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        schema::TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let seat = self.sender(&context).await?;
        let call = Call { mcp: &self.mcp, seat, context: &context };
        tools::call(&call, &request.name, Args::new(request.arguments)).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let seat = self.sender(&context).await?;
        resources::list(&self.mcp.hub.images, &seat.caller, request.and_then(|page| page.cursor)).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        one_page(request)?;
        let templates = ListResourceTemplatesResult::with_all_items(resources::templates());
        Ok(templates.with_ttl_ms(FIXED).with_cache_scope(CacheScope::Private))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let seat = self.sender(&context).await?;
        Ok(resources::read(&self.mcp, seat, &request.uri).await?.into())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let seat = self.sender(&context).await?;
        let address = resources::existing(&self.mcp.hub.images, &seat.caller, &request.uri).await?;
        self.subscribed.add(address)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if let Some(address) = Address::read(&request.uri) {
            self.subscribed.remove(address);
        }
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(resources::accepted(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let telling = self.mcp.changes.tell(Ear::Listener(context.sink().clone()), self.mcp.hub.stop.clone());
        tokio::select! {
            () = context.cancelled() => {}
            () = telling => {}
        }
        Ok(())
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        one_page(request)?;
        let prompts = ListPromptsResult::with_all_items(prompts::list());
        Ok(prompts.with_ttl_ms(FIXED).with_cache_scope(CacheScope::Private))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(prompts::get(&request.name, request.arguments.unwrap_or_default())?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let seat = self.sender(&context).await?;
        let values = match (request.r#ref.as_prompt_name(), request.r#ref.as_resource_uri()) {
            (Some(prompt), _) => prompts::complete(prompt, &request.argument)?,
            (None, Some(uri)) => {
                resources::complete(&self.mcp.hub.images, &seat.caller, uri, &request.argument).await?
            }
            (None, None) => Vec::new(),
        };
        let values = rmcp::model::CompletionInfo::with_all_values(values)
            .map_err(|cause| ErrorData::internal_error(cause, None))?;
        Ok(CompleteResult::new(values))
    }

    /// What the SDK cannot read as a request that it knows: because of its method, or because of its params.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method: String = request.method.chars().take(60).collect();
        Err(match method.as_str() {
            "tools/call" => ErrorData::invalid_params(
                "the params of tools/call are { \"name\": a tool's name, \"arguments\": an object }; a text with JSON in it is no object",
                None,
            ),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                ErrorData::invalid_params(format!("the params of {method} are {{ \"uri\": a text }}"), None)
            }
            "prompts/get" => ErrorData::invalid_params(
                "the params of prompts/get are { \"name\": a prompt's name, \"arguments\": an object of texts }",
                None,
            ),
            _ => ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no method \"{method}\" here"), None),
        })
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let seat = self.sender(&context).await?;
        tasks::get(&Call { mcp: &self.mcp, seat, context: &context }, &request.task_id).await
    }

    async fn update_task(
        &self,
        _request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Err(ErrorData::invalid_params("no task of this hub asks for input, so there is nothing to answer", None))
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let seat = self.sender(&context).await?;
        tasks::cancel(&self.mcp.hub.images, &seat.caller, &request.task_id).await
    }
}

/// These lists have one page: a cursor can only be somebody else's.
fn one_page(request: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match request.and_then(|page| page.cursor) {
        None => Ok(()),
        Some(_) => Err(ErrorData::invalid_params("this cursor is not one of ours; leave it out", None)),
    }
}

/// The other end of a session, for notifications.
pub(super) type Client = Peer<RoleServer>;
