//! `SkillService`: shows and changes which skills carry which stages, and says what would be decided.

use moorline_proto::v1;
use tonic::{Request, Response, Status};

use super::{Caller, page};
use crate::{
    db::skill_policies::Row,
    domain,
    flow::{Error, Flow, skill},
    session::Sessions,
    wire::{self, status::status},
};

/// Most versions of the policy on a page.
const VERSIONS_MAX: i32 = 200;

/// See the module.
pub struct Service {
    flow: Flow,
}

impl Service {
    pub(super) fn new(sessions: &Sessions) -> Self {
        Self {
            flow: sessions.flow.clone(),
        }
    }

    /// The skills of the connected workers, by the workers' names.
    async fn skills(&self) -> Result<Vec<(String, Vec<v1::StartupSkill>)>, Status> {
        let profiles = skill::profiles(&self.flow).await.map_err(status)?;
        let skills = |profile| wire::document::profile_message(profile).skills;
        Ok(profiles.into_iter().map(|(worker, profile)| (worker, skills(profile))).collect())
    }
}

fn refuse(refusal: domain::Error) -> Status {
    wire::status::refused(&refusal)
}

fn message(row: Row) -> Result<v1::SkillPolicy, Status> {
    let policy = row.policy().map_err(|error| status(Error::from(error)))?;
    Ok(wire::skill_policy::message(row, policy))
}

#[tonic::async_trait]
impl v1::skill_service_server::SkillService for Service {
    async fn resolve_stages(&self, request: Request<v1::ResolveStagesRequest>) -> Result<Response<v1::ResolveStagesResponse>, Status> {
        let wire = request.into_inner();
        let run_id = (!wire.run_id.is_empty()).then(|| wire::id("run_id", &wire.run_id));
        let run_id = run_id.transpose().map_err(refuse)?;
        let choices = wire::skill::choices_of("stage_skills", &wire.stage_skills).map_err(refuse)?;
        let resolution = skill::resolve(&self.flow, run_id, choices).await.map_err(status)?;
        let skills = self.skills().await?;
        let stages = resolution.stages.into_iter();
        Ok(Response::new(v1::ResolveStagesResponse {
            stages: stages.map(|stage| wire::skill_policy::resolution(stage, &skills)).collect(),
            policy_version: resolution.policy_version,
        }))
    }

    async fn get_skill_policy(&self, _: Request<v1::GetSkillPolicyRequest>) -> Result<Response<v1::GetSkillPolicyResponse>, Status> {
        let policy = Some(message(skill::policy(&self.flow).await.map_err(status)?)?);
        Ok(Response::new(v1::GetSkillPolicyResponse { policy }))
    }

    async fn update_skill_policy(
        &self,
        request: Request<v1::UpdateSkillPolicyRequest>,
    ) -> Result<Response<v1::UpdateSkillPolicyResponse>, Status> {
        let caller = Caller::of(&request).name();
        let change = wire::skill_policy::change_of(request.into_inner()).map_err(refuse)?;
        let row = skill::change(&self.flow, &change, caller).await.map_err(status)?;
        let policy = Some(message(row)?);
        Ok(Response::new(v1::UpdateSkillPolicyResponse { policy }))
    }

    async fn list_skill_policies(
        &self,
        request: Request<v1::ListSkillPoliciesRequest>,
    ) -> Result<Response<v1::ListSkillPoliciesResponse>, Status> {
        let wire = request.into_inner();
        let before = Some(wire.before_version).filter(|version| *version != 0);
        let rows = skill::policies(&self.flow, before, page::size(wire.page_size.min(VERSIONS_MAX)))
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListSkillPoliciesResponse {
            policies: rows.into_iter().map(message).collect::<Result<_, _>>()?,
        }))
    }

    async fn list_skills(&self, _: Request<v1::ListSkillsRequest>) -> Result<Response<v1::ListSkillsResponse>, Status> {
        let row = skill::policy(&self.flow).await.map_err(status)?;
        let policy = row.policy().map_err(|error| status(Error::from(error)))?;
        Ok(Response::new(v1::ListSkillsResponse {
            skills: wire::skill_policy::fleet(&self.skills().await?, &policy),
        }))
    }
}
